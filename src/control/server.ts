// What a running server tells and does for its owner: HTTP on a unix socket in the state
// directory, which nobody else can enter. Bodies are not read; what is asked is in the address.

import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Code, FsError } from '../errors.ts'

/** Longer paths do not fit into a socket's address, on macOS. */
export const MAX_SOCKET_PATH = 103

export type Routes = {
  /** GET /status */
  status(): unknown
  /** POST /export: what to mount now. */
  exportPath(): string
  /**
   * POST /flush?path=…&wait=yes: publishes what waits, below `path` or all of it. With `wait`
   * the answer comes when that is done; `signal` is the patience of whoever asked.
   */
  flush(path: string | null, wait: boolean, signal: AbortSignal): Promise<unknown>
  /**
   * POST /check?repair=yes&gc=yes: looks at what is stored. The answer is news in lines of JSON, as
   * they come; `signal` ends it when nobody listens any more.
   */
  check(wish: { repair: boolean; gc: boolean }, signal: AbortSignal): AsyncIterable<unknown>
  /** POST /stop: begins to end, once the answer, which is the last status, is out. */
  stop(): void
}

/** What is refused: the status, and words for it. */
export type Refusal = { readonly error: string; readonly code?: Code }

class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Connections at once; more are closed. */
const MAX_CONNECTIONS = 64

/** Of those, the ones that may wait for the grid: `status` is answered beside them. */
const MAX_WAITING = 16

/** Bytes of a request; a path of 4 KiB has three times that when it is percent-encoded. */
const MAX_REQUEST = 32 << 10

/** Milliseconds for a request to be there. */
const REQUEST_TIMEOUT = 10_000

type Asked = { readonly query: URLSearchParams; readonly signal: AbortSignal; readonly sent: Promise<void> }

function table(routes: Routes) {
  let waiting = 0
  return new Map<string, (asked: Asked) => unknown>([
    ['GET /status', () => routes.status()],
    ['POST /export', () => ({ path: routes.exportPath() })],
    [
      'POST /flush',
      async ({ query, signal }) => {
        const path = query.get('path')
        if (query.get('wait') !== 'yes') return routes.flush(path, false, signal)
        if (waiting >= MAX_WAITING) throw new Refused(503, 'too many wait for the grid already')
        waiting++
        return routes.flush(path, true, signal).finally(() => waiting--)
      },
    ],
    [
      'POST /check',
      ({ query, signal }) =>
        routes.check({ repair: query.get('repair') === 'yes', gc: query.get('gc') === 'yes' }, signal),
    ],
    [
      'POST /stop',
      ({ sent }) => {
        void sent.then(() => routes.stop())
        return routes.status()
      },
    ],
  ])
}

const isStream = (answer: unknown): answer is AsyncIterable<unknown> =>
  typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer

/** One line each, and one that ends it: `{"end":null}`, or what failed, `{"end":{"error":…}}`. */
async function sendLines(response: ServerResponse, lines: AsyncIterable<unknown>): Promise<void> {
  let end: Refusal | null = null
  try {
    for await (const line of lines) {
      if (response.destroyed) return
      if (!response.write(`${JSON.stringify(line)}\n`)) await writable(response)
    }
  } catch (err) {
    end = refusalOf(err)
  }
  if (!response.destroyed) response.end(`${JSON.stringify({ end })}\n`)
}

/** Resolves when there is room again, or nobody listens. */
const writable = (response: ServerResponse): Promise<void> =>
  new Promise(resolve => {
    if (response.destroyed) resolve()
    response.once('drain', resolve)
    response.once('close', resolve)
  })

const refusalOf = (err: unknown): Refusal =>
  err instanceof FsError
    ? { error: err.message.replace(/^\w+: /, ''), code: err.code }
    : { error: (err as Error).message }

/** Serves until the function it gives is called; that takes the socket away and waits for nobody. */
export async function serveControl(path: string, routes: Routes): Promise<() => Promise<void>> {
  await rm(path, { force: true }) // whoever left it is gone: we hold the state's lock
  const known = table(routes)

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    const sent = new Promise<void>(resolve => {
      response.once('close', () => {
        gone.abort()
        resolve()
      })
    })
    request.resume()
    const [where = '', query] = (request.url ?? '').split('?', 2)
    const deed = known.get(`${request.method} ${where}`)
    const reply = (status: number, body: unknown) => {
      if (response.destroyed) return // nobody waits for it any more
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify(body))
    }
    try {
      if (!deed) throw new Refused(404, 'no such thing')
      const answer = await deed({ query: new URLSearchParams(query), signal: gone.signal, sent })
      if (!isStream(answer)) return reply(200, answer)
      response.writeHead(200, { 'content-type': 'application/x-ndjson', connection: 'close' })
      await sendLines(response, answer)
    } catch (err) {
      if (err instanceof Refused) return reply(err.status, { error: err.message } satisfies Refusal)
      reply(err instanceof FsError ? 409 : 500, refusalOf(err))
    }
  }

  const limits = { maxHeaderSize: MAX_REQUEST, requestTimeout: REQUEST_TIMEOUT }
  const server = createServer(limits, (request, response) => void answer(request, response))
  server.maxConnections = MAX_CONNECTIONS
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
