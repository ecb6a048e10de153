// Who called. On Linux mounting takes sudo, and whoever calls through it means their own
// node, their own files and their own home, not root's.

import { readFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'

const isRoot = process.getuid?.() === 0

/** The uid behind sudo; null where nobody stands behind. */
export function sudoUid(): number | null {
  const text = process.env['SUDO_UID'] ?? ''
  return isRoot && /^\d{1,10}$/.test(text) && Number(text) !== 0 ? Number(text) : null
}

/** The home of who called: of a caller through sudo as the machine's list of users has it. */
export function callerHome(): string {
  const uid = sudoUid()
  return uid === null ? homedir() : (homeIn(listOfUsers(), uid) ?? homedir())
}

/** Where this process keeps what is its own. Under sudo never in the caller's home: what root makes there the caller cannot use. */
export const ownHome = (): string => (sudoUid() === null ? homedir() : userInfo().homedir)

function listOfUsers(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8')
  } catch {
    return ''
  }
}

/** passwd(5): name:password:uid:gid:comment:home:shell */
export function homeIn(passwd: string, uid: number): string | null {
  for (const line of passwd.split('\n')) {
    const [, , id, , , home] = line.split(':')
    if (id === String(uid) && home?.startsWith('/')) return home
  }
  return null
}
