// What a running server tells and does for its owner: HTTP on a unix socket in the state
// directory, which nobody else can enter.

import { rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'

/** Longer paths do not fit into a socket's address, on macOS. */
export const MAX_SOCKET_PATH = 103

export type Routes = {
  /** GET /status */
  status(): unknown
  /** POST /stop: begins to end; the answer is sent before. */
  stop(): void
}

export async function serveControl(path: string, routes: Routes): Promise<Server> {
  await rm(path, { force: true }) // whoever left it is gone: we hold the state's lock
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify(body))
    }
    request.resume()
    if (request.method === 'GET' && request.url === '/status') return answer(200, routes.status())
    if (request.method === 'POST' && request.url === '/stop') {
      response.once('close', () => routes.stop())
      return answer(200, {})
    }
    answer(404, { error: 'no such thing' })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  return server
}
