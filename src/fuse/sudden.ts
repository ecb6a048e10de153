// The end of a process that has not unmounted: an error that nobody caught, or process.exit.
// What is mounted must not hang whoever looks at it, and must not keep the process from ending.

import { spawn, spawnSync } from 'node:child_process'
import { closeSync } from 'node:fs'
import { environment } from './programs.ts'
import type { FuseServing } from './server.ts'

export type Exposed = {
  readonly device: number
  /** The command that takes it out of sight. */
  readonly detach: readonly [string, ...(readonly string[])]
  readonly serving: Pick<FuseServing, 'stats'>
}

/** Milliseconds. */
const PATIENCE = 5_000

export type Guard = {
  /** It is unmounted, though somebody may use it: what is mounted there from now on is not ours. */
  detached(): void
  release(): void
}

/** Stands guard until it is released. */
export function guard({ device, detach: [program, ...args], serving }: Exposed): Guard {
  let isDetached = false
  const options = { cwd: '/', env: environment, stdio: 'ignore' } as const
  const onExit = () => {
    try {
      closeSync(device) // first: then nobody who looks at the mount can wait for us, who wait for umount
    } catch {} // it was closed already
    if (serving.stats().reader === 'epoll') {
      if (!isDetached) spawnSync(program, args, { ...options, timeout: PATIENCE })
      return
    }
    // A thread that reads the device keeps it open, and the process from ending, until the process is
    // killed; only then may umount be waited for, and nobody is left to do so.
    if (!isDetached) spawn(program, args, { ...options, detached: true }).unref()
    process.kill(process.pid, 'SIGKILL')
  }
  process.on('exit', onExit)
  return {
    detached() {
      isDetached = true
    },
    release: () => void process.off('exit', onExit),
  }
}
