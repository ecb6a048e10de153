// Where the node is, and the paths we ask it for: always by cap, never by a path of
// names, which would cost a directory for each and which a URL parser may "mend".

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

/** `/uri/$CAP[?query]`. Names travel in queries and bodies only, where '..', '/' and NUL mean nothing. */
export const capPath = (cap: Cap, query?: string): string =>
  `/uri/${encodeURIComponent(cap.uri())}${query === undefined ? '' : '?' + query}`
