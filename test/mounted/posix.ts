// What every mount must do for the calls of POSIX.

import { attributes } from './posix-attributes.ts'
import { bytes } from './posix-bytes.ts'
import { crowds } from './posix-crowd.ts'
import { links } from './posix-links.ts'
import { names } from './posix-names.ts'
import { openFiles } from './posix-open.ts'
import { renames } from './posix-rename.ts'
import { shared } from './posix-shared.ts'
import { joined } from './rule.ts'

export const posix = joined(names, crowds, renames, links, bytes, openFiles, shared, attributes)
