// What the node's refusals and silences mean. Its texts can hold caps, so of them
// only the names of exceptions we know ever reach a message.

import { type Code, FsError } from '../../errors.ts'

/** The exceptions of Tahoe that say something, as their texts name them. */
const exceptions =
  /\b(NoSharesError|NotEnoughSharesError|UnrecoverableFileError|UncoordinatedWriteError|UploadUnhappinessError|NotEnoughServersError|NotWriteableError|MustBeReadonlyError|MustBeDeepImmutableError|MustNotBeUnknownRWError|FileTooLargeError|BadURIError|FileProhibited)\b/g

const codeFor: Readonly<Record<number, Code>> = {
  400: 'EINVAL', // a bug of ours, or a cap that the node cannot use so
  401: 'EACCES',
  403: 'EACCES', // blacklisted
  409: 'EEXIST',
  413: 'EFBIG',
  501: 'ENOTSUP',
}

const codeForException: Readonly<Record<string, Code>> = {
  NotWriteableError: 'EROFS',
  MustBeReadonlyError: 'EINVAL',
  MustBeDeepImmutableError: 'EINVAL',
  MustNotBeUnknownRWError: 'EINVAL',
  BadURIError: 'EINVAL',
  FileTooLargeError: 'EFBIG',
  FileProhibited: 'EACCES',
}

/**
 * The error for an answer that is not the one asked for. Whatever is not listed is
 * "not now": 410 (shares out of reach, never "deleted"), every 5xx, and what no Tahoe node says.
 */
export function refusal(what: string, status: number, text: string): FsError {
  const name = text.match(exceptions)?.at(-1) // a traceback names the one that counts last
  const said = name === undefined ? `the node answered ${status}` : `the node answered ${status}, ${name}`
  return new FsError(codeOfRefusal(status, name, text), `${what}: ${said}`)
}

function codeOfRefusal(status: number, name: string | undefined, text: string): Code {
  // Only the directory itself can say that a name is not in it; a 404 without these
  // words comes from something on the way, and proves nothing.
  if (status === 404) return text.includes('No such child') ? 'ENOENT' : 'EAGAIN'
  if (name === 'UploadUnhappinessError') return /\bfull\b/.test(text) ? 'ENOSPC' : 'EAGAIN'
  if (name !== undefined && status >= 400 && status !== 410)
    return codeForException[name] ?? codeFor[status] ?? 'EAGAIN'
  return codeFor[status] ?? 'EAGAIN'
}

/** An answer that breaks its promises: not to be believed, and worth asking again. */
export const garbage = (what: string, how: string): FsError => new FsError('EAGAIN', `${what}: ${how}`)

/** The error for a connection that failed. Messages of others are not repeated: they may hold a path. */
export function broken(what: string, err: unknown, signal?: AbortSignal): FsError {
  if (err instanceof FsError) return err
  if (signal?.aborted) return new FsError('EAGAIN', `${what}: the caller gave up`)
  return new FsError('EAGAIN', `${what}: ${howBroken(err)}`)
}

const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens at the node URL',
  ENOTFOUND: 'the node URL names no host that is known',
  EAI_AGAIN: 'the name of the node cannot be resolved now',
  ECONNRESET: 'the connection to the node broke',
  EPIPE: 'the connection to the node broke',
  UND_ERR_SOCKET: 'the connection to the node broke',
  UND_ERR_CONNECT_TIMEOUT: 'the node does not take the connection',
  UND_ERR_HEADERS_TIMEOUT: 'the node does not answer',
  UND_ERR_BODY_TIMEOUT: 'the node stopped in the middle of its answer',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the answer is not as long as it said',
  UND_ERR_DESTROYED: 'the grid was closed',
  UND_ERR_CLOSED: 'the grid was closed',
}

function howBroken(err: unknown): string {
  const code = codeIn(err)
  const sentence = code === null ? undefined : sentences[code]
  return sentence ?? `the connection to the node failed${code === null ? '' : ` (${code})`}`
}

function codeIn(err: unknown): string | null {
  if (err instanceof AggregateError && err.errors.length > 0) return codeIn(err.errors[0])
  const code = (err as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[A-Z_0-9]{1,40}$/.test(code) ? code : null
}
