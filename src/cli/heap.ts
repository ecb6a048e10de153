// File content passes through in buffers outside of V8's heap. By default every few MiB of them
// make it mark the whole heap, which is half the computing of reads at random; with this flag it
// does so when memory as a whole has grown.

import { setFlagsFromString } from 'node:v8'

/** The V8 of Node 24, which has the flag: another might complain. */
const knows = process.versions.v8.startsWith('13.')

/** Before much is allocated. */
export function easeHeap(): void {
  if (knows) setFlagsFromString('--external-memory-accounted-in-global-limit')
}
