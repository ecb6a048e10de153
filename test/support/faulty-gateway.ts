// A web API that misbehaves on request. It serves one file and one directory, and what
// goes wrong is chosen for each request by the test. Where nothing is chosen it answers
// as a Tahoe node does, so a test shows the fault and not the stand-in.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export type Asked = {
  readonly method: string
  /** As it came, still percent-encoded. */
  readonly path: string
  readonly range: { readonly start: number; readonly end: number } | null
  readonly headers: IncomingMessage['headers']
  /** How many came before this one. */
  readonly number: number
}

export type Fault =
  /** Nothing, ever. */
  | { readonly hang: 'before headers' }
  /** So many bytes of the body, then nothing on an open connection. */
  | { readonly hang: 'in the body'; readonly at: number }
  /** So many bytes of the body, then a reset. */
  | { readonly reset: number }
  /** So many bytes, then the connection ends properly: the body is short. */
  | { readonly short: number }
  /** As a node whose segment at `at` of the file is bad: refused at its start, else the text in the body. */
  | { readonly badSegmentAt: number; readonly keepAlive?: boolean }
  /** A status, headers and body of its own; by default `Content-Length` is the body's. */
  | { readonly status: number; readonly body?: string | Buffer; readonly headers?: Record<string, string> }
  /** Right but for these headers; `status` too. */
  | { readonly lie: Record<string, string>; readonly status?: number }
  /** The request is dealt with, and then the connection breaks before the answer. */
  | { readonly answer: 'lost' }
  /** Nothing for so long, then the right answer. */
  | { readonly delay: number }

export type FaultyGateway = {
  readonly url: string
  readonly asked: readonly Asked[]
  /** Connections open now. */
  readonly open: () => number
  /** Bytes of bodies handed to the sockets so far. */
  readonly sent: () => number
  close(): Promise<void>
}

type World = {
  /** What every GET of data serves. */
  readonly file?: Buffer
  /** What is answered to everything that is not a GET of data: a status and a text. */
  readonly answer?: (
    asked: Asked,
    body: Buffer,
  ) => { status: number; text: string } | Promise<{ status: number; text: string }>
  /** The fault for this request, if any. */
  readonly fault?: (asked: Asked) => Fault | null
}

const TEXT = Buffer.from('problem during download\n')

export async function faultyGateway(world: World): Promise<FaultyGateway> {
  const asked: Asked[] = []
  const sockets = new Set<Socket>()
  let sent = 0
  const server = createServer((req, res) => void serve(req, res))
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const one = read(req, asked.length)
    asked.push(one)
    const fault = world.fault?.(one) ?? null
    if (fault !== null && 'hang' in fault && fault.hang === 'before headers') return
    if (fault !== null && 'delay' in fault) await new Promise(resolve => setTimeout(resolve, fault.delay))
    const body = await whole(req).catch(() => null)
    if (body === null) return // it broke off
    // A refusal of its own is one: the deed is not done.
    const refuses = fault !== null && 'status' in fault && !('lie' in fault)
    const right = refuses ? nothing : await rightAnswer(world, one, body)
    if (fault !== null && 'answer' in fault) return void req.socket.destroy()
    await misbehave(req.socket, res, one, right, fault)
  }

  async function misbehave(
    socket: Socket,
    res: ServerResponse,
    one: Asked,
    right: Right,
    fault: Fault | null,
  ): Promise<void> {
    if (fault === null || 'delay' in fault || 'answer' in fault) return reply(res, right, right.body, true)
    if ('hang' in fault) return reply(res, right, right.body.subarray(0, 'at' in fault ? fault.at : 0), false)
    if ('reset' in fault) {
      await reply(res, right, right.body.subarray(0, fault.reset), false)
      return void socket.resetAndDestroy()
    }
    if ('short' in fault) {
      await reply(res, right, right.body.subarray(0, fault.short), false)
      return void socket.end()
    }
    if ('badSegmentAt' in fault) return badSegment(socket, res, one, right, fault)
    if ('lie' in fault) {
      const headers = { ...right.headers, ...fault.lie }
      return reply(res, { ...right, status: fault.status ?? right.status, headers }, right.body, true)
    }
    const text = Buffer.from(fault.body ?? '')
    const headers = { 'content-length': String(text.length), ...fault.headers }
    const honest = fault.headers?.['content-length'] === undefined
    return reply(res, { status: fault.status, headers, body: text }, text, honest)
  }

  async function badSegment(
    socket: Socket,
    res: ServerResponse,
    one: Asked,
    right: Right,
    { badSegmentAt, keepAlive = false }: Extract<Fault, { badSegmentAt: number }>,
  ): Promise<void> {
    const { start, end } = one.range!
    if (badSegmentAt >= end || badSegmentAt < start) return reply(res, right, right.body, true)
    if (badSegmentAt === start) {
      const text = Buffer.from('NotEnoughSharesError: This indicates that some servers were unavailable.')
      return reply(
        res,
        { status: 410, headers: { 'content-length': String(text.length) }, body: text },
        text,
        true,
      )
    }
    const good = right.body.subarray(0, badSegmentAt - start)
    // The node writes the whole text, whatever it still owes: what is too much goes out behind the body.
    await reply(res, right, good, false)
    socket.write(TEXT)
    sent += TEXT.length
    if (!keepAlive) socket.end()
  }

  /** What is not complete is written past the server library, which would mend it. */
  async function reply(res: ServerResponse, right: Right, body: Buffer, complete: boolean): Promise<void> {
    const socket = res.socket
    if (socket === null || socket.destroyed) return
    const given = { 'Content-Type': 'text/plain', ...right.headers }
    const headers = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== '')) // '' leaves one out
    if (complete) res.writeHead(right.status, headers)
    else {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`HTTP/1.1 ${right.status} Said\r\n${lines.join('')}\r\n`)
    }
    const out = complete ? res : socket
    for (let at = 0; at < body.length; at += PIECE) {
      const piece = body.subarray(at, at + PIECE)
      sent += piece.length
      if (!out.write(piece) && !(await drained(out, socket))) return
    }
    if (complete) res.end()
  }

  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    asked,
    open: () => sockets.size,
    sent: () => sent,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const PIECE = 65_536

/** False when the other side has gone. */
const drained = (out: Socket | ServerResponse, socket: Socket): Promise<boolean> =>
  new Promise(resolve => {
    const gone = () => resolve(false)
    socket.once('close', gone)
    out.once('drain', () => {
      socket.off('close', gone)
      resolve(true)
    })
  })

type Right = {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: Buffer
}

const nothing: Right = { status: 500, headers: {}, body: Buffer.alloc(0) }

function read(req: IncomingMessage, number: number): Asked {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? '') ?? []
  const range = from === undefined ? null : { start: Number(from), end: Number(to) + 1 }
  return { method: req.method ?? '', path: req.url ?? '', range, headers: req.headers, number }
}

async function whole(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

async function rightAnswer({ file, answer }: World, one: Asked, body: Buffer): Promise<Right> {
  if (one.method === 'GET' && one.range !== null && file !== undefined) {
    const { start, end } = one.range
    const bytes = file.subarray(start, end)
    const headers = {
      'Content-Length': String(bytes.length),
      'Content-Range': `bytes ${start}-${start + bytes.length - 1}/${file.length}`,
    }
    return { status: 206, headers, body: bytes }
  }
  const { status, text } = (await answer?.(one, body)) ?? {
    status: 500,
    text: 'nothing is prepared for this',
  }
  const bytes = Buffer.from(text)
  return { status, headers: { 'Content-Length': String(bytes.length) }, body: bytes }
}
