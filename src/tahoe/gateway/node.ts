// One node's web API as exchanges: small ones that are kept whole, and data that
// flows. Knows HTTP and its limits; what the exchanges mean is known one level up.

import { type Dispatcher, Pool } from 'undici'
import { FsError } from '../../errors.ts'
import { Turns } from '../turns.ts'
import { broken, garbage, refusal } from './trouble.ts'
import { nodeOrigin } from './url.ts'

export type NodeOptions = {
  /** No byte for so long, within an answer, and it is given up. */
  readonly stallMs?: number
  /** No first byte for so long after a question that only reads. */
  readonly firstByteMs?: number
  /** The same after one that changes something: the node itself retries for half a minute. */
  readonly changeMs?: number
  /** How often a node that works on an upload in silence is asked whether it still lives. */
  readonly pulseMs?: number
}

export type Answer = { readonly status: number; readonly body: Buffer }

type Question = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly what: string
  readonly body?: string | Buffer
  /** The longest answer that is kept; EFBIG beyond. */
  readonly limit?: number
  readonly signal?: AbortSignal | undefined
}

const SMALL = 1 << 20 // caps, status pages and error texts are far below
const headers = { accept: 'text/plain', 'accept-encoding': 'identity' }

export class Node {
  readonly #data: Pool // one connection each, closed after its answer
  readonly #rest: Pool
  readonly #stallMs: number
  readonly #firstByteMs: number
  readonly #changeMs: number
  readonly #pulseMs: number
  readonly #reading = new Turns(16)
  readonly #asking = new Turns(16)
  readonly #uploading = new Turns(4)

  constructor(url: string, options: NodeOptions = {}) {
    const origin = nodeOrigin(url)
    this.#stallMs = options.stallMs ?? 15_000
    this.#firstByteMs = options.firstByteMs ?? 20_000
    this.#changeMs = options.changeMs ?? 120_000
    this.#pulseMs = options.pulseMs ?? 20_000
    const common: Pool.Options = {
      pipelining: 1,
      allowH2: false,
      connect: { timeout: this.#firstByteMs, keepAliveInitialDelay: 15_000 },
    }
    this.#data = new Pool(origin, common)
    // The node closes a connection after 60 s of silence; one that we closed first cannot meet that moment.
    this.#rest = new Pool(origin, { ...common, keepAliveTimeout: 30_000, keepAliveMaxTimeout: 50_000 })
  }

  async close(): Promise<void> {
    await Promise.all([this.#data.destroy(), this.#rest.destroy()])
  }

  /** An exchange whose answer is kept whole. Whatever its status, only a connection that broke throws. */
  async ask(question: Question): Promise<Answer> {
    const { what, signal } = question
    const end = await this.#asking.take(what, signal)
    try {
      return await this.#exchange(question)
    } finally {
      end()
    }
  }

  /** The same for answers that must be 200 or 201; others are thrown. */
  async want(question: Question): Promise<Buffer> {
    const { status, body } = await this.ask(question)
    if (status === 200 || status === 201) return body
    throw refusal(question.what, status, body.toString())
  }

  async #exchange(question: Question): Promise<Answer> {
    const { method, path, what, body, limit = SMALL, signal } = question
    const once = () =>
      this.#rest.request({
        method,
        path,
        // Of any other type the node would read the body as a form.
        headers: body === undefined ? headers : { ...headers, 'content-type': 'text/plain' },
        body: body ?? null,
        signal: signal ?? null,
        headersTimeout: method === 'GET' ? this.#firstByteMs : this.#changeMs,
        bodyTimeout: this.#stallMs,
      })
    try {
      const answer = await once().catch((err: unknown) => {
        // A kept connection may be closed from the other side just as we use it.
        if (method === 'GET' && isReset(err) && !signal?.aborted) return once()
        throw err
      })
      return { status: answer.statusCode, body: await kept(answer, what, limit) }
    } catch (err) {
      throw broken(what, err, signal)
    }
  }

  /**
   * The bytes `start` to `end` (which is behind the last) of something `size` bytes long,
   * as the node sends them: complete when it ends without throwing, but not yet judged.
   */
  async *flow(
    path: string,
    { start, end, size }: { start: number; end: number; size: number },
    what: string,
    signal?: AbortSignal,
  ): AsyncGenerator<Buffer, void, undefined> {
    const done = await this.#reading.take(what, signal)
    let body: Dispatcher.ResponseData['body'] | null = null
    try {
      const answer = await this.#data.request({
        method: 'GET',
        path,
        // Both ends always: past its end the node would send the whole file.
        headers: { ...headers, range: `bytes=${start}-${end - 1}` },
        // A body that breaks off is then seen at once; on a kept connection it would look like a pause.
        reset: true,
        signal: signal ?? null,
        headersTimeout: this.#firstByteMs,
        bodyTimeout: this.#stallMs,
      })
      body = answer.body
      body.on('error', () => {}) // destroying it early is no error of anybody's
      insist(answer, { start, end, size }, what)
      let left = end - start
      for await (const chunk of body as AsyncIterable<Buffer>) {
        left -= chunk.length
        if (left < 0) throw garbage(what, 'the answer is longer than it said')
        yield chunk
      }
      if (left > 0) throw garbage(what, 'the answer broke off')
    } catch (err) {
      throw broken(what, err, signal)
    } finally {
      body?.destroy() // with its connection: of an answer that is not wanted no byte is waited for
      done()
    }
  }

  /** Sends a body that flows. There is no bound on the time until the answer, only on that of a dead node. */
  async send(
    path: string,
    body: { readonly size: number; readonly bytes: AsyncIterable<Uint8Array> },
    what: string,
    signal?: AbortSignal,
  ): Promise<Answer> {
    const end = await this.#uploading.take(what, signal)
    const dead = new AbortController()
    const pulse = this.#watch(dead)
    try {
      const answer = await this.#rest.request({
        method: 'PUT',
        path,
        headers: {
          ...headers,
          'content-type': 'application/octet-stream',
          'content-length': String(body.size),
        },
        body: body.bytes as unknown as Dispatcher.RequestOptions['body'], // undici takes any async iterable
        signal: signal ? AbortSignal.any([signal, dead.signal]) : dead.signal,
        headersTimeout: 0,
        bodyTimeout: this.#stallMs,
      } as Dispatcher.RequestOptions)
      return { status: answer.statusCode, body: await kept(answer, what, SMALL) }
    } catch (err) {
      if (dead.signal.aborted) throw garbage(what, 'the node died over it')
      throw broken(what, err, signal)
    } finally {
      pulse()
      end()
    }
  }

  /** A node that works in silence looks like one that is gone: it is asked something small now and then. */
  #watch(dead: AbortController): () => void {
    let missed = 0
    let asking = false
    const timer = setInterval(async () => {
      if (asking) return
      asking = true
      const alive = await this.#exchange({ method: 'GET', path: '/?t=json', what: 'pulse' }).then(
        () => true,
        () => false,
      )
      asking = false
      missed = alive ? 0 : missed + 1
      if (missed === 3) dead.abort()
    }, this.#pulseMs)
    timer.unref()
    return () => clearInterval(timer)
  }
}

const isReset = (err: unknown): boolean => {
  const code = (err as { code?: unknown }).code
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'UND_ERR_SOCKET'
}

/** The body as one piece, at most `limit` bytes of it. */
async function kept(answer: Dispatcher.ResponseData, what: string, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    length += chunk.length
    // Leaving the loop destroys the body and its connection.
    if (length > limit) throw new FsError('EFBIG', `${what}: the answer is longer than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}

/** Only 206, and exactly the bytes asked for of exactly the thing we know. */
function insist(
  answer: Dispatcher.ResponseData,
  want: { start: number; end: number; size: number },
  what: string,
): void {
  const { statusCode, headers } = answer
  if (statusCode !== 206) {
    if (statusCode < 300) throw garbage(what, `the node answered ${statusCode} to a range`)
    throw refusal(what, statusCode, '')
  }
  const range = `bytes ${want.start}-${want.end - 1}/${want.size}`
  if (headers['content-range'] !== range) throw garbage(what, 'the node sends another range')
  if (headers['content-length'] !== String(want.end - want.start)) {
    throw garbage(what, 'the node does not say how long its answer is')
  }
}
