// What every mount must do for real programs.

import { copies } from './programs-copies.ts'
import { data } from './programs-data.ts'
import { gits } from './programs-git.ts'
import { joined } from './rule.ts'

export const programs = joined(gits, copies, data)
