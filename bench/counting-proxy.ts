// Stands before a node and notes each request by its kind.

import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'

export class CountingProxy {
  readonly url: string
  /** In the order they came: `GET json`, `GET data`, `GET /`, `PUT`, … */
  readonly requests: string[]
  readonly #server: Server

  private constructor(server: Server, url: string, requests: string[]) {
    this.#server = server
    this.url = url
    this.requests = requests
  }

  static async before(node: string): Promise<CountingProxy> {
    const { hostname, port } = new URL(node)
    const requests: string[] = []
    const server = createServer((incoming, outgoing) => {
      const { method = '', url = '', headers } = incoming
      requests.push(kindOf(method, url))
      const onward = request({ hostname, port, method, path: url, headers }, answer => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        answer.pipe(outgoing)
      })
      onward.on('error', () => outgoing.destroy())
      outgoing.on('close', () => onward.destroy())
      incoming.pipe(onward)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port: own } = server.address() as { port: number }
    return new CountingProxy(server, `http://127.0.0.1:${own}/`, requests)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

function kindOf(method: string, url: string): string {
  if (!url.startsWith('/uri')) return `${method} status`
  const t = /[?&]t=([\w-]+)/.exec(url)?.[1]
  return `${method} ${t ?? 'data'}`
}
