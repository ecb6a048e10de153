// Asking a running server over its control socket.

import { request } from 'node:http'

const TIMEOUT_MS = 10_000

/** Bytes of an answer. */
const MAX_ANSWER = 16 << 20

/** What connecting says where no server is: no socket, no listener, no such place. */
const nobody = new Set(['ENOENT', 'ENOTDIR', 'ECONNREFUSED', 'EINVAL', 'ENAMETOOLONG', 'ENOTSOCK'])

/** The answer, or null when nobody listens there (any more). What else goes wrong is an Error with one line. */
export function askControl(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  timeoutMs = TIMEOUT_MS,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the server at ${socketPath} ${why}`))
    const asking = request({ socketPath, method, path, timeout: timeoutMs }, response => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if ((size += chunk.length) > MAX_ANSWER) asking.destroy(new Error('too long'))
      })
      response.on('error', () => fail('broke off its answer'))
      response.on('end', () => {
        if (response.statusCode !== 200) return fail(`answered ${response.statusCode} to ${method} ${path}`)
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString()))
        } catch {
          fail('did not answer in JSON')
        }
      })
    })
    asking.on('timeout', () => {
      fail('does not answer')
      asking.destroy()
    })
    asking.on('error', (err: NodeJS.ErrnoException) => {
      if (nobody.has(err.code ?? '')) resolve(null)
      else
        fail(err.code === 'EACCES' ? 'is not yours to ask' : `cannot be asked (${err.code ?? err.message})`)
    })
    asking.end()
  })
}
