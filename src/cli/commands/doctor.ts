// `tahoe-nfs doctor`: what this machine can do, and what is missing, with what mends it.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { FsError } from '../../errors.ts'
import { whyNoFuse } from '../../fuse/machine.ts'
import { silent } from '../../log.ts'
import { gridName, gridOf, openGrid } from '../grid.ts'
import { whyNoMount } from '../mountpoint.ts'
import { running } from '../places.ts'
import { defaultNode } from '../settings.ts'
import { FAILED, Wrong } from '../wrong.ts'

type Finding = { readonly what: string; readonly ok: boolean; readonly detail: string }
const isLinux = process.platform === 'linux'

type DoctorOptions = { nodeDirectory: string; grid?: string }

export const doctor = (program: Command): Command =>
  program
    .command('doctor')
    .option('--node-directory <DIR>', 'where node.url is', defaultNode())
    .option('--grid <GRID>', 'another grid than the usual one, as for mount')
    .description('what this machine can do, and what is missing')
    .action(async (options: DoctorOptions) => {
      const ways = await mounting()
      const findings = [node(), ...ways, await grid(options), await servers()]
      for (const { what, ok, detail } of findings)
        console.log(`${ok ? 'ok     ' : 'missing'}  ${what}: ${detail}`)
      const mayMount = ways.some(way => way.ok) // one is enough
      const isLacking = findings.some(finding => !finding.ok && !ways.includes(finding))
      if (isLacking || !mayMount) process.exitCode = FAILED
    })

const node = (): Finding => ({ what: 'Node', ok: true, detail: process.version })

async function mounting(): Promise<Finding[]> {
  const finding = (what: string, why: string | null): Finding => ({
    what,
    ok: why === null,
    detail: why ?? 'this user can mount',
  })
  const nfs = finding('mounting over NFS', await whyNoMount())
  return isLinux ? [nfs, finding('mounting over FUSE', await whyNoFuse())] : [nfs]
}

async function grid(options: DoctorOptions): Promise<Finding> {
  const what = 'a grid'
  try {
    const choice = await gridOf(options)
    const name = gridName(choice)
    if (choice.kind === 'local') return { what, ok: true, detail: await folders(choice.dirs, name) }
    const asked = await openGrid(choice, silent)
    const health = await asked.health({ signal: AbortSignal.timeout(10_000) }).finally(() => asked.close())
    if (!health.reachable) return { what, ok: false, detail: `${name}: ${health.detail}` }
    const aliases = await access(join(options.nodeDirectory, 'private', 'aliases')).then(
      () => 'its directory has aliases',
      () => `${options.nodeDirectory} has no aliases, so give --root-file`,
    )
    return { what, ok: true, detail: `${name}: ${health.detail}; ${aliases}` }
  } catch (err) {
    if (err instanceof Wrong) return { what, ok: false, detail: err.message }
    if (err instanceof FsError) return { what, ok: false, detail: err.message.replace(/^\w+: /, '') }
    throw err
  }
}

/** They are not opened: a server may have them open. */
async function folders(dirs: readonly string[], name: string): Promise<string> {
  const isThere = await access(join(dirs[0]!, 'private', 'aliases')).then(
    () => true,
    () => false,
  )
  return isThere ? `shares in ${name}` : `shares will be in ${name}, which is made at the first start`
}

async function servers(): Promise<Finding> {
  const all = await running()
  const places = all.map(({ status }) => status.mountpoint ?? status.address ?? status.state)
  return { what: 'servers that run', ok: true, detail: all.length === 0 ? 'none' : places.join(', ') }
}
