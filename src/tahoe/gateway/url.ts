// Where the node is, and the paths we ask it for. Paths are made by hand: a URL
// parser would take a child named '..' for a step upwards.

import { FsError } from '../../errors.ts'
import type { Cap } from '../cap.ts'

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** The origin of a node's web API. Plain http only on this machine: a request's path is a cap, and so a secret. */
export function nodeOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new FsError('EINVAL', 'node URL: give one like http://127.0.0.1:3456/')
  }
  // What a pasted directory page has behind the host is a cap, so the text is not repeated.
  if (
    url.pathname !== '/' ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw new FsError(
      'EINVAL',
      `node URL: only the node itself, ${url.protocol}//${url.host}/, without a path or a user`,
    )
  }
  if (url.protocol === 'http:' && !loopback.test(url.hostname)) {
    throw new FsError(
      'EINVAL',
      `node URL: ${url.host} is not this machine, so caps must travel by https (or a tunnel)`,
    )
  }
  return url.origin
}

/** One segment of a path. '.' and '..' are spelt out, so that nothing on the way resolves them. */
const segment = (text: string): string =>
  text === '.' ? '%2E' : text === '..' ? '%2E%2E' : encodeURIComponent(text)

/** `/uri/$CAP[/name][?query]`. EINVAL for a name that has no UTF-8. */
export function capPath(cap: Cap, options: { name?: string; query?: string } = {}): string {
  const { name, query } = options
  if (name !== undefined && !name.isWellFormed())
    throw new FsError('EINVAL', 'a name with half a character in it')
  return `/uri/${segment(cap.uri())}${name === undefined ? '' : '/' + segment(name)}${query ? '?' + query : ''}`
}
