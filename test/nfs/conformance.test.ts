// The conformance checks over the plain file system in memory.

import { MemFs } from '../support/memfs.ts'
import { attributeChecks } from './conformance/attributes.ts'
import { dataChecks } from './conformance/data.ts'
import { filesystemChecks } from './conformance/filesystem.ts'
import { listingChecks } from './conformance/listing.ts'
import { makingChecks } from './conformance/making.ts'
import { removingChecks } from './conformance/removing.ts'
import { robustnessChecks } from './conformance/robustness.ts'
import { rpcChecks } from './conformance/rpc.ts'
import { owner, type Subject } from './conformance/world.ts'

const memfs: Subject = { name: 'memfs', write: true, open: async () => new MemFs(owner) }

rpcChecks(memfs)
attributeChecks(memfs)
dataChecks(memfs)
makingChecks(memfs)
removingChecks(memfs)
listingChecks(memfs)
filesystemChecks(memfs)
robustnessChecks(memfs)
