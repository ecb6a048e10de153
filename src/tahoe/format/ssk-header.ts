// The header of a mutable share of either kind, from the first bytes of the share.

import { MDMF_VERSION, parseMdmf } from './mdmf.ts'
import { parseSdmf, SDMF_VERSION } from './sdmf.ts'
import { type Header, Malformed } from './ssk.ts'

/** Bytes of a share that hold the header of either kind. */
export const HEADER_SIZE = 123

/** Throws Malformed unless the prefix holds a whole header, in which each offset is checked. */
export function parseHeader(prefix: Buffer): Header {
  if (prefix[0] === SDMF_VERSION) return parseSdmf(prefix)
  if (prefix[0] === MDMF_VERSION) return parseMdmf(prefix)
  throw new Malformed(prefix.length === 0 ? 'it is empty' : `its version is ${prefix[0]}`)
}
