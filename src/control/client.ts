// Asking a running server over its control socket.

import { request } from 'node:http'
import { codes, FsError } from '../errors.ts'
import type { Refusal } from './server.ts'

const TIMEOUT_MS = 10_000

/** Bytes of an answer. */
const MAX_ANSWER = 16 << 20

/** What connecting says where no server is: no socket, no listener, no such place. */
const nobody = new Set(['ENOENT', 'ENOTDIR', 'ECONNREFUSED', 'EINVAL', 'ENAMETOOLONG', 'ENOTSOCK'])

/** What a connection says whose server ended, or would have no more of them. */
const gone = new Set(['ECONNRESET', 'EPIPE'])

export type Ask = {
  /** For silence; 0 waits as long as the server lives. */
  readonly timeoutMs?: number
  /** The patience of whoever asks; the server hears when it is over. */
  readonly signal?: AbortSignal | undefined
}

/**
 * The answer, or null when nobody listens there (any more). What the file system refuses
 * is its FsError; what else goes wrong is an Error with one line.
 */
export function askControl(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  { timeoutMs = TIMEOUT_MS, signal }: Ask = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the server at ${socketPath} ${why}`))
    const asking = request({ socketPath, method, path, timeout: timeoutMs, signal }, response => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if ((size += chunk.length) > MAX_ANSWER) asking.destroy(new Error('too long'))
      })
      response.on('error', () => fail('broke off its answer'))
      response.on('end', () => {
        const answer = parsed(Buffer.concat(chunks).toString())
        if (response.statusCode === 200)
          return answer === undefined ? fail('did not answer in JSON') : resolve(answer)
        const { error, code } = (answer ?? {}) as Partial<Refusal>
        if (error !== undefined && codes.includes(code!)) return reject(new FsError(code!, error))
        const asked = `${method} ${path.replace(/\?.*/, '')}`
        fail(`answered ${response.statusCode} to ${asked}${error === undefined ? '' : `: ${error}`}`)
      })
    })
    asking.on('timeout', () => {
      fail('does not answer')
      asking.destroy()
    })
    asking.on('error', (err: NodeJS.ErrnoException) => {
      if (nobody.has(err.code ?? '')) resolve(null)
      else if (gone.has(err.code ?? '')) fail('ended before it answered')
      else
        fail(err.code === 'EACCES' ? 'is not yours to ask' : `cannot be asked (${err.code ?? err.message})`)
    })
    asking.end()
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
