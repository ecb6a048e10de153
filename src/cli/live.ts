// What `mount --foreground` shows on a terminal: one line, once a second.

import type { Running } from './server.ts'
import { inWords } from './words.ts'

/** Shows it until the function that is returned is called; nothing where nobody sees it. */
export function live(running: Running): () => void {
  if (!process.stdout.isTTY) return () => {}
  const show = () => {
    const { cache, calls, grid, memory } = running.status()
    const reach = grid.reachable ? 'grid reachable' : `grid out of reach since ${grid.since}`
    const line = `${reach} · ${calls} calls · cache ${inWords(cache.bytes)} of ${inWords(cache.limit)} · memory ${inWords(memory)}`
    process.stdout.write(`\r\x1b[2K${line.slice(0, process.stdout.columns - 1)}`)
  }
  const timer = setInterval(show, 1000)
  return () => {
    clearInterval(timer)
    process.stdout.write('\n')
  }
}
