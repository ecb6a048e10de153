// One line on a terminal that says how things stand: once a second while `mount
// --foreground` runs, or while somebody waits for the grid.

import type { Running } from './server.ts'
import { amount } from './waiting.ts'
import { inWords, whileInWords } from './words.ts'

export type Line = { show(text: string): void; end(): void }

/** The line that is written over again; nothing where nobody sees it. */
export function line(): Line {
  if (!process.stdout.isTTY) return { show() {}, end() {} }
  const put = (text: string) => process.stdout.write(`\r\x1b[2K${text}`)
  const width = () => (process.stdout.columns || 80) - 1 // a terminal may not know how wide it is
  return { show: text => void put(text.slice(0, width())), end: () => void put('') }
}

/** Shows what is going on until the function that is returned is called. */
export function live(running: Running): () => void {
  const { show, end } = line()
  const look = () => {
    const { cache, calls, grid, memory, pending } = running.status()
    const away = whileInWords(Date.now() - Date.parse(grid.since))
    const reach = grid.reachable ? 'grid reachable' : `grid out of reach for ${away}`
    const waiting = pending.files === 0 ? [] : [`waiting ${amount(pending)}`]
    const kept = `cache ${inWords(cache.bytes)} of ${inWords(cache.limit)}`
    show([reach, ...waiting, `${calls} calls`, kept, `memory ${inWords(memory)}`].join(' · '))
  }
  const timer = process.stdout.isTTY ? setInterval(look, 1000) : undefined
  return () => {
    clearInterval(timer)
    end()
  }
}
