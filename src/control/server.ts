// What a running server tells and does for its owner: HTTP on a unix socket in the state
// directory, which nobody else can enter.

import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'

/** Longer paths do not fit into a socket's address, on macOS. */
export const MAX_SOCKET_PATH = 103

export type Routes = {
  /** GET /status */
  status(): unknown
  /** POST /export: what to mount now. */
  exportPath(): string
  /** POST /stop: begins to end; the answer is sent before. */
  stop(): void
}

/** Serves until the function it gives is called; that takes the socket away and waits for nobody. */
export async function serveControl(path: string, routes: Routes): Promise<() => Promise<void>> {
  await rm(path, { force: true }) // whoever left it is gone: we hold the state's lock
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify(body))
    }
    request.resume()
    try {
      switch (`${request.method} ${request.url}`) {
        case 'GET /status':
          return answer(200, routes.status())
        case 'POST /export':
          return answer(200, { path: routes.exportPath() })
        case 'POST /stop':
          response.once('close', () => routes.stop())
          return answer(200, {})
        default:
          return answer(404, { error: 'no such thing' })
      }
    } catch (err) {
      answer(500, { error: (err as Error).message })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  return async () => {
    server.close()
    server.closeAllConnections()
    await rm(path, { force: true })
  }
}
