// A process that has a state open, to be killed: it commits pairs and says which are
// acknowledged, or with `hold` says that it has it and waits.

import { State } from '../../src/vfs/state/state.ts'

const [, , dir, secret, hold] = process.argv as [string, string, string, string, string?]
const state = await State.open(dir, secret)
if (hold) {
  process.stdout.write('mine\n')
  process.stdin.resume()
} else {
  const last = state.get("SELECT value FROM meta WHERE key = 'a'")?.['value'] as bigint | undefined
  for (let i = (last ?? 0n) + 1n; ; i++) {
    await state.commit([
      ['setMeta', 'a', i],
      ['setMeta', 'b', i],
    ])
    process.stdout.write(`${i}\n`)
  }
}
