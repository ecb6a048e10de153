// In the guest: a port of its own loopback that leads to the same port of the test's machine.
// A gateway that is not on loopback would be refused: caps travel in the clear to it.

import { connect, createServer } from 'node:net'

const port = Number(process.argv[2])
createServer({ allowHalfOpen: true }, near => {
  const far = connect({ host: '10.0.2.2', port, allowHalfOpen: true })
  near.on('error', () => far.destroy()).pipe(far)
  far.on('error', () => near.destroy()).pipe(near)
}).listen(port, '127.0.0.1', () => console.log('open'))
