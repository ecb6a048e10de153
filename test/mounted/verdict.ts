// What came of one check, and the line that tells it: of a script in a guest, or of a process of its own.

export type Verdict = {
  readonly name: string
  readonly ok: boolean
  readonly ms: number
  /** What was said when it failed. */
  readonly output: string
}

/** Of what is said, as much as a line carries. */
const said = 4000

export const lineOf = ({ name, ok, ms, output }: Verdict): string =>
  ['CHECK', ok ? 'ok' : 'FAIL', name, ms, Buffer.from(output.slice(-said)).toString('base64')].join('\t')

/** The fields of a line after its first word. */
export const verdictOf = ([word, name = '', ms, output = '']: readonly string[]): Verdict => ({
  name,
  ok: word === 'ok',
  ms: Number(ms),
  output: Buffer.from(output, 'base64').toString(),
})
