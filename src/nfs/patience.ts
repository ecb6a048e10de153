// How long a call may be held before it is answered "not now". One signal serves all
// calls that arrive within the same second, so patience costs a timer a second, not
// one per call.

export class Patience {
  readonly #holdMs: number
  readonly #byEnd = new Map<number, AbortController>()
  #over = false

  constructor(holdMs: number) {
    this.#holdMs = holdMs
  }

  /** Aborts between holdMs and a second more from now. */
  signal(): AbortSignal {
    if (this.#over) return AbortSignal.abort()
    const now = performance.now()
    const end = Math.ceil((now + this.#holdMs) / 1000)
    let controller = this.#byEnd.get(end)
    if (controller === undefined) {
      controller = new AbortController()
      this.#byEnd.set(end, controller)
      setTimeout(() => this.#end(end), end * 1000 - now).unref()
    }
    return controller.signal
  }

  #end(end: number): void {
    const controller = this.#byEnd.get(end)
    this.#byEnd.delete(end)
    controller?.abort()
  }

  /** Ends everyone's, for good. */
  end(): void {
    this.#over = true
    for (const end of [...this.#byEnd.keys()]) this.#end(end)
  }
}
