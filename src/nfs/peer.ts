// Who may connect. AUTH_SYS proves nothing and loopback is open to every local user,
// so Linux is asked whose socket the other end is. Its table is read once, begun in
// the connection callback and awaited before any byte is acted on.

import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { endianness } from 'node:os'

export type Admit = (socket: Socket) => Promise<boolean>

type Endpoint = { readonly address: string; readonly port: number }

/** Loopback only; on Linux also: only the owner's and root's sockets. */
export function admitLoopback(options: {
  owner: { uid: number }
  platform?: NodeJS.Platform
  tables?: () => Promise<string>
}): Admit {
  const { owner, platform = process.platform, tables = tcpTables } = options
  return async socket => {
    const peer = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    const own = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
    if (!isLoopback(peer.address) || !isLoopback(own.address)) return false
    if (platform !== 'linux') return true // the export path's token, then the handles, are what admits
    const uid = ownerOf(await tables(), peer, own)
    return uid === 0 || uid === owner.uid
  }
}

const tcpTables = async (): Promise<string> => {
  const [tcp, tcp6] = await Promise.all([
    readFile('/proc/net/tcp', 'latin1'),
    readFile('/proc/net/tcp6', 'latin1').catch(() => ''), // a kernel without IPv6 has none
  ])
  return tcp + tcp6
}

const plainV4 = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '')

const isLoopback = (address: string): boolean => address === '::1' || /^127\./.test(plainV4(address))

const established = '01'

/**
 * The uid whose socket has these ends, or null. Only an open one tells: a socket that
 * was closed is shown with uid 0 and inode 0 while its bytes can still be read.
 */
export function ownerOf(tables: string, peer: Endpoint, own: Endpoint): number | null {
  const wanted = new Set(forms(peer).flatMap((p, i) => [`${p} ${forms(own)[i]}`]))
  for (const row of tables.split('\n')) {
    const [, local, remote, state, , , , uid, , inode] = row.trim().split(/\s+/)
    if (!wanted.has(`${local} ${remote}`)) continue
    return state === established && inode !== undefined && inode !== '0' && /^\d+$/.test(uid!)
      ? Number(uid)
      : null
  }
  return null
}

/** How the tables write an endpoint: an IPv6 socket that speaks IPv4 stands in tcp6 alone, mapped. */
function forms({ address, port }: Endpoint): string[] {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  if (address === '::1') return [words(Buffer.from([...new Array<number>(15).fill(0), 1])) + end]
  const v4 = Buffer.from(plainV4(address).split('.').map(Number))
  const mapped = Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), v4])
  return [words(v4) + end, words(mapped) + end]
}

/** Each 32-bit word as this machine's own number. */
function words(bytes: Buffer): string {
  const read = endianness() === 'LE' ? 'readUInt32LE' : 'readUInt32BE'
  let hex = ''
  for (let at = 0; at < bytes.length; at += 4)
    hex += bytes[read](at).toString(16).toUpperCase().padStart(8, '0')
  return hex
}
