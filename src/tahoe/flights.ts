// Uploads under way. Equal content is on its way once; whoever asks for it meanwhile joins.

import type { Cap } from './cap.ts'
import { patiently } from './turns.ts'

/** Hears the bytes sent so far. */
export type Hears = (bytes: number) => void

/** One upload, and who waits for it. */
type Flight = { readonly cap: Promise<Cap>; readonly stop: AbortController; readonly hears: Set<Hears> }

type Passenger = {
  readonly what: string
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: Hears | undefined
}

export class Flights {
  readonly #flights = new Map<string, Flight>()

  /**
   * Waits for the flight of this content, which `begin` starts if there is none. EAGAIN when the
   * passenger gives up; when all have, the flight is stopped, and who comes later starts anew.
   */
  async join(
    content: string,
    { what, signal, onProgress }: Passenger,
    begin: (stop: AbortSignal, sent: Hears) => Promise<Cap>,
  ): Promise<Cap> {
    const flight = this.#flights.get(content) ?? this.#begin(content, begin)
    const hear: Hears = bytes => onProgress?.(bytes)
    flight.hears.add(hear)
    try {
      return await patiently(flight.cap, what, signal)
    } finally {
      flight.hears.delete(hear)
      if (flight.hears.size === 0) {
        this.#landed(content, flight)
        flight.stop.abort()
      }
    }
  }

  #begin(content: string, begin: (stop: AbortSignal, sent: Hears) => Promise<Cap>): Flight {
    const stop = new AbortController()
    const hears = new Set<Hears>()
    const cap = begin(stop.signal, bytes => {
      for (const hear of hears) hear(bytes)
    })
    const flight = { cap, stop, hears }
    this.#flights.set(content, flight)
    const landed = () => this.#landed(content, flight)
    cap.then(landed, landed)
    return flight
  }

  #landed(content: string, flight: Flight): void {
    if (this.#flights.get(content) === flight) this.#flights.delete(content)
  }
}
