// `tahoe-nfs doctor`: what this machine can do, and what is missing, with what mends it.

import { access, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { gateway } from '../../tahoe/gateway/gateway.ts'
import { whyNoMount } from '../mountpoint.ts'
import { running } from '../places.ts'
import { FAILED } from '../wrong.ts'

type Finding = { readonly what: string; readonly ok: boolean; readonly detail: string }

export const doctor = (program: Command): Command =>
  program
    .command('doctor')
    .option('--node-directory <DIR>', 'where node.url is', join(homedir(), '.tahoe'))
    .option('--grid <GRID>', 'gateway:URL, to ask that node instead')
    .description('what this machine can do, and what is missing')
    .action(async (options: { nodeDirectory: string; grid?: string }) => {
      const findings = [node(), await mounting(), await gridFinding(options), await servers()]
      for (const { what, ok, detail } of findings)
        console.log(`${ok ? 'ok     ' : 'missing'}  ${what}: ${detail}`)
      if (findings.some(finding => !finding.ok)) process.exitCode = FAILED
    })

const node = (): Finding => ({ what: 'Node', ok: true, detail: process.version })

async function mounting(): Promise<Finding> {
  const why = await whyNoMount()
  return {
    what: 'mounting over NFS',
    ok: why === null,
    detail: why ?? 'this user can mount',
  }
}

async function gridFinding({
  nodeDirectory,
  grid,
}: {
  nodeDirectory: string
  grid?: string
}): Promise<Finding> {
  const what = 'a Tahoe-LAFS node'
  const url =
    grid?.replace(/^gateway:/, '') ??
    (await readFile(join(nodeDirectory, 'node.url'), 'utf8').catch(() => null))
  if (url === null)
    return {
      what,
      ok: false,
      detail: `there is no ${join(nodeDirectory, 'node.url')}; give --node-directory DIR, or mount with --grid gateway:URL`,
    }
  const asked = gateway(url.trim())
  try {
    const health = await asked.health({ signal: AbortSignal.timeout(10_000) })
    const aliases = await access(join(nodeDirectory, 'private', 'aliases')).then(
      () => 'it has aliases',
      () => 'it has no aliases: give --root-file',
    )
    return { what, ok: health.reachable, detail: `${url.trim()}: ${health.detail}; ${aliases}` }
  } finally {
    await asked.close()
  }
}

async function servers(): Promise<Finding> {
  const all = await running()
  const places = all.map(each => each.status.mountpoint ?? each.status.address)
  return { what: 'servers that run', ok: true, detail: all.length === 0 ? 'none' : places.join(', ') }
}
