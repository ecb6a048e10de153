// Stands before a node and notes each request by its kind, and the bytes of content that pass.

import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'

/** What of a node's work a request asks for. */
export type Kind = 'directory writes' | 'uploads' | 'listings' | 'downloads' | 'status'

export type Noted = {
  readonly kind: Kind
  /** Method and operation: `GET json`, `GET data`, `POST set_children`, `PUT data`, … */
  readonly name: string
}

export class CountingProxy {
  readonly url: string
  /** In the order they came. */
  readonly requests: Noted[] = []
  /** Bytes of content that the node has answered, and was sent. */
  fetched = 0
  uploaded = 0
  readonly #server: Server

  private constructor(server: Server, port: number) {
    this.#server = server
    this.url = `http://127.0.0.1:${port}/`
  }

  static async before(node: string): Promise<CountingProxy> {
    const { hostname, port } = new URL(node)
    const server = createServer((incoming, outgoing) => {
      const { method = '', url = '', headers } = incoming
      const noted = about(method, url)
      proxy.requests.push(noted)
      const onward = request({ hostname, port, method, path: url, headers }, answer => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        if (noted.kind === 'downloads') answer.on('data', chunk => (proxy.fetched += chunk.length))
        answer.pipe(outgoing)
      })
      onward.on('error', () => outgoing.destroy())
      outgoing.on('close', () => onward.destroy())
      if (noted.kind === 'uploads') incoming.on('data', chunk => (proxy.uploaded += chunk.length))
      incoming.pipe(onward)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const proxy = new CountingProxy(server, (server.address() as { port: number }).port)
    return proxy
  }

  /** Begins to count anew. */
  forget(): void {
    this.requests.length = 0
    this.fetched = this.uploaded = 0
  }

  /** `directory writes: 3 (2 POST unlink, 1 POST set_children); uploads: 200 (200 PUT data)` */
  told(): string {
    const kinds = [...Map.groupBy(this.requests, ({ kind }) => kind)].map(([kind, requests]) => {
      const names = [...Map.groupBy(requests, ({ name }) => name)]
      return `${kind}: ${requests.length} (${names.map(([name, each]) => `${each.length} ${name}`).join(', ')})`
    })
    return kinds.join('; ') || 'none'
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

/** Operations that rewrite a directory, or make one. */
const rewrites = /^(mkdir|mkdir-with-children|set_children|unlink|delete|rename|relink|uri)$/

function about(method: string, url: string): Noted {
  if (!url.startsWith('/uri')) return { kind: 'status', name: `${method} status` }
  const t = /[?&]t=([\w-]+)/.exec(url)?.[1]
  const name = `${method} ${t ?? 'data'}`
  if (t !== undefined && method !== 'GET' && rewrites.test(t)) return { kind: 'directory writes', name }
  if (method === 'PUT') return { kind: 'uploads', name }
  if (t === undefined) return { kind: 'downloads', name }
  return { kind: t === 'json' ? 'listings' : 'status', name }
}
