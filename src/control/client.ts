// Asking a running server over its control socket.

import { request } from 'node:http'

const TIMEOUT_MS = 10_000

/** The answer, or null when nobody listens there any more. */
export function askControl(socketPath: string, method: 'GET' | 'POST', path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, method, path, timeout: TIMEOUT_MS }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString()
        if (response.statusCode === 200) resolve(JSON.parse(body))
        else reject(new Error(`the server answered ${response.statusCode} to ${method} ${path}`))
      })
    })
    asking.on('timeout', () => asking.destroy(new Error('the server does not answer on its control socket')))
    asking.on('error', (err: NodeJS.ErrnoException) =>
      err.code === 'ENOENT' || err.code === 'ECONNREFUSED' ? resolve(null) : reject(err),
    )
    asking.end()
  })
}
