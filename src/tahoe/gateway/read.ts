// Content as verified chunks. The node verifies what it sends, with one exception:
// when a segment fails after the first byte was sent, it writes an error text into
// the body. If fewer bytes were owed than the text is long, even the length is right.
//
// So the last 24 bytes are held back until more arrive or the body is complete. If
// it breaks off, they are thrown away. If it is complete and ends like the text
// begins, the bytes in question are asked for alone: a request that begins with the
// failing segment is refused before any byte. (A segment may begin anywhere: its
// size is not to be seen from outside.)

import type { Cap } from '../cap.ts'
import type { Node } from './node.ts'
import { capPath } from './url.ts'

const errorText = Buffer.from('problem during download\n')
const HELD = errorText.length

/** How many bytes at the end of `tail` may be the error text: 0 when there is nothing to fear. */
export function suspect(tail: Buffer): number {
  // 'p' comes once in the text, so at most one of its beginnings can stand at the end.
  const at = tail.lastIndexOf(errorText[0]!)
  const length = tail.length - at
  return at >= 0 && length <= HELD && tail.subarray(at).equals(errorText.subarray(0, length)) ? length : 0
}

type Extent = { readonly start: number; readonly end: number; readonly size: number }

/** The bytes of one extent, none of them wrong. */
export async function* content(
  node: Node,
  cap: Cap,
  extent: Extent,
  what: string,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  let held: Buffer = Buffer.alloc(0)
  for await (const chunk of node.flow(capPath(cap), extent, what, signal)) {
    if (chunk.length >= HELD) {
      if (held.length > 0) yield held
      if (chunk.length > HELD) yield chunk.subarray(0, chunk.length - HELD)
      held = Buffer.from(chunk.subarray(chunk.length - HELD))
      continue
    }
    const both = Buffer.concat([held, chunk])
    const sure = Math.max(0, both.length - HELD)
    if (sure > 0) yield both.subarray(0, sure)
    held = both.subarray(sure)
  }
  const doubt = suspect(held)
  // The whole answer: a failing first segment would have been refused, so this is content.
  if (doubt === 0 || doubt === extent.end - extent.start) {
    if (held.length > 0) yield held
    return
  }
  if (doubt < held.length) yield held.subarray(0, held.length - doubt)
  // Shorter each time, so this ends.
  yield* content(node, cap, { ...extent, start: extent.end - doubt }, what, signal)
}
