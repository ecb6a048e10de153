// An answer of a running server that comes in lines of JSON, over a while.

import { type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { codes, FsError } from '../errors.ts'
import type { Refusal } from './server.ts'

/** What a server said, or did, instead of an answer: one line. */
export class NoAnswer extends Error {}

/**
 * The lines, as they come; the server hears when whoever reads them stops. What the file system
 * refuses is its FsError; what else goes wrong, its end too, is NoAnswer.
 */
export async function* followControl(
  socketPath: string,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<unknown, void, undefined> {
  const response = await asked(socketPath, path, signal)
  try {
    for await (const line of createInterface({ input: response })) {
      const answer = parsed(line)
      if (response.statusCode !== 200) throw refused(answer)
      if (typeof answer !== 'object' || answer === null || !('end' in answer)) yield answer
      else if (answer.end === null) return
      else throw refused(answer.end)
    }
  } catch (err) {
    if (err instanceof FsError || err instanceof NoAnswer) throw err // else it broke off
  } finally {
    response.destroy()
  }
  signal?.throwIfAborted()
  throw new NoAnswer(`the server at ${socketPath} ended before its answer did`)
}

function asked(socketPath: string, path: string, signal: AbortSignal | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, method: 'POST', path, signal }, response => {
      response.on('error', () => {}) // its lines end, which is heard of
      resolve(response)
    })
    asking.on('error', (err: NodeJS.ErrnoException) =>
      reject(new NoAnswer(`the server at ${socketPath} cannot be asked (${err.code ?? err.message})`)),
    )
    asking.end()
  })
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new NoAnswer('the server did not answer in JSON')
  }
}

function refused(answer: unknown): Error {
  const { error = 'the server refused', code } = (answer ?? {}) as Partial<Refusal>
  return codes.includes(code!) ? new FsError(code!, error) : new NoAnswer(error)
}
