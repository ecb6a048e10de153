// A process that has a folder of shares open, to be killed. It says so, and then stores one share
// after the other and says which are acknowledged.

import { encode } from '../../src/tahoe/format/base32.ts'
import { LocalServer } from '../../src/tahoe/storage/local.ts'

const [, , dir, work] = process.argv as [string, string, string, string?]
const server = await LocalServer.open({ dir })
process.stdout.write('mine\n')
process.stdin.resume()
if (work) {
  const secret = Buffer.alloc(32, 1)
  const secrets = { renew: secret, cancel: secret, writeEnabler: secret }
  const slot = encode(Buffer.alloc(16, 255))
  for (let i = 0; ; i++) {
    const index = encode(Buffer.alloc(16, i))
    const bytes = Buffer.alloc(50_000, i)
    const { writers } = await server.allocate(index, [0], bytes.length, secrets)
    const writer = writers.get(0)
    if (!writer) break // it went round
    await writer.write(0, [bytes])
    await writer.close()
    const data = Buffer.from(String(i).padStart(8))
    const change = { tests: [], writes: [{ offset: 0, data }], newLength: null }
    await server.readTestWrite(slot, secrets, new Map([0, 1].map(share => [share, change])), [])
    process.stdout.write(`${i}\n`)
  }
}
