// `tahoe-nfs check`: look at every share of what is stored in folders of this machine, mend what can
// be mended, remove what nothing leads to. A running server does it; without one, this process.

import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { followControl, NoAnswer } from '../../control/follow.ts'
import { silent } from '../../log.ts'
import type { Finding, Totals } from '../../tahoe/native/check/check.ts'
import type { Collected } from '../../tahoe/native/check/gc.ts'
import { Checks, type News, type Wish } from '../checking.ts'
import { aliasDirectory, gridName, gridOf, isNative, openGrid } from '../grid.ts'
import { line } from '../live.ts'
import { at, defaultState, type Found, running } from '../places.ts'
import { readRoot } from '../root.ts'
import { withGrid } from '../settings.ts'
import { untilSignal } from '../signals.ts'
import { inWords, printable } from '../words.ts'
import { FAILED, reason, USED_WRONGLY, Wrong } from '../wrong.ts'

type CheckOptions = {
  grid?: string
  shares?: string
  nodeDirectory: string
  root?: string
  rootFile?: string
  state?: string
  repair?: true
  gc?: true
  json?: true
}

export const check = (program: Command): Command =>
  withGrid(program.command('check'))
    .option('--repair', 'make again what is missing or damaged, where enough is left')
    .option(
      '--gc',
      'remove what no path from the root and no alias leads to, once it is a day old; without --repair, nothing else',
    )
    .option('--json', 'as lines of JSON, for programs')
    .option('--state <DIR>', 'of the server with this state directory')
    .description('look at every share in the folders of --grid local')
    .action(async (options: CheckOptions) => {
      const { signal } = untilSignal()
      const wish = { repair: options.repair === true, gc: options.gc === true }
      const telling = options.json ? asJson : inLines()
      try {
        for await (const each of await news(options, wish, signal)) {
          telling(each)
          if (isBad(each)) process.exitCode = FAILED
        }
      } catch (err) {
        if (signal.aborted) throw new Wrong('ended before all was looked at')
        throw err instanceof NoAnswer ? new Wrong(err.message) : err
      }
    })

const isBad = (news: News): boolean =>
  news.what === 'collected'
    ? news.collected.stopped !== null
    : news.what === 'totals' && news.done && news.totals.wrong > 0

/** From the server of this root, or from this process. */
async function news(options: CheckOptions, wish: Wish, signal: AbortSignal): Promise<AsyncIterable<News>> {
  const named = options.state === undefined ? null : await at(resolve(options.state))
  if (named) return asked(named, options, wish, signal)
  const choice = await gridOf(options)
  if (choice.kind === 'gateway') throw forTheNode(options)
  const dir = choice.dirs[0]!
  await access(dir).catch((err: unknown) => {
    throw new Wrong(`nothing is stored in ${dir}: ${reason(err)}`)
  })
  const root = await readRoot({ ...options, nodeDirectory: aliasDirectory(choice, options.nodeDirectory) })
  const stateDir = resolve(options.state ?? defaultState(root))
  const server = await at(stateDir)
  if (server) return asked(server, options, wish, signal)
  const name = gridName(choice)
  const other = (await running()).find(({ status: { grid } }) => grid.kind === 'local' && grid.name === name)
  if (other)
    throw new Wrong(
      `process ${other.status.pid} serves ${name} for another root, or with another state; ask it with --state ${other.status.state}`,
    )
  const grid = await openGrid(choice, silent)
  if (!isNative(grid)) throw forTheNode(options)
  const checks = new Checks({ grid, root, dirs: choice.dirs, stateDir, vfs: null })
  return (async function* () {
    try {
      yield* checks.run(wish, signal)
    } finally {
      await grid.close()
    }
  })()
}

function asked(server: Found, options: CheckOptions, wish: Wish, signal: AbortSignal): AsyncIterable<News> {
  if (server.status.grid.kind === 'gateway') throw forTheNode(options)
  const query = new URLSearchParams()
  if (wish.repair) query.set('repair', 'yes')
  if (wish.gc) query.set('gc', 'yes')
  return followControl(server.socket, `/check?${query}`, signal) as AsyncIterable<News>
}

const forTheNode = ({ root }: CheckOptions): Wrong =>
  new Wrong(
    `over a gateway the node does that itself: tahoe deep-check --repair --add-lease ${root?.replace(/:$/, '') ?? 'ALIAS'}:`,
    USED_WRONGLY,
  )

const asJson = (news: News): void => console.log(JSON.stringify(news))

function inLines(): (news: News) => void {
  const { show, end } = line()
  return news => {
    if (news.what === 'totals' && !news.done)
      return show(`${news.totals.objects} files and directories so far`)
    end()
    if (news.what === 'finding') console.log(said(news.finding))
    else if (news.what === 'totals') console.log(summary(news.totals))
    else for (const each of collectedLines(news.collected)) console.log(each)
  }
}

const words: Record<Finding['state'], string> = {
  fewer: 'fewer shares than there should be',
  damaged: 'damaged',
  unreadable: 'unreadable',
  unlisted: 'cannot be listed',
}

const said = ({ path, state, detail, mended }: Finding): string =>
  printable(`${path}: ${words[state]}${mended ? ', mended' : ''} (${detail})`)

function summary({ objects, healthy, mended, wrong, literals, unknown }: Totals): string {
  const parts = [
    `${healthy} of ${objects} files and directories are healthy`,
    ...(mended > 0 ? [`${mended} were mended`] : []),
    ...(wrong > 0 ? [`${wrong} are not as they should be`] : []),
    ...(literals > 0 ? [`${literals} are so small that their names hold them`] : []),
    ...(unknown > 0 ? [`${unknown} are of kinds that cannot be looked at here`] : []),
  ]
  return parts.join('; ')
}

function collectedLines({ objects, shares, bytes, stopped }: Collected): string[] {
  const removed = `${shares} shares of ${objects} files and directories removed, ${inWords(bytes)}`
  return [
    ...(objects > 0 ? [removed] : stopped === null ? ['there was nothing to remove'] : []),
    ...(stopped === null
      ? []
      : [printable(`${objects > 0 ? 'the rest stays' : 'nothing is removed'}: ${stopped}`)]),
  ]
}
