// Figures as they are printed: the median of each, every value beside it, and the ratio to
// its peer. Machines are noisy: read the ratios.

export const median = (values: readonly number[]): number => at(values, 0.5)
export const p99 = (values: readonly number[]): number => at(values, 0.99)

/** The value below which a share of them lies. */
function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

/** `1.234 s (1.200 1.234 1.300)` */
export const inSeconds = (...values: number[]): string => shown(values, 3, 's')
export const inMs = (...values: number[]): string => shown(values, 2, 'ms')

function shown(values: readonly number[], digits: number, unit: string): string {
  const all = values.length > 1 ? ` (${values.map(value => value.toFixed(digits)).join(' ')})` : ''
  return `${median(values).toFixed(digits)} ${unit}${all}`
}

/** `1.23 times` what `peer` took. */
export const times = (values: number | readonly number[], peer: number | readonly number[]): string =>
  `${(middle(values) / middle(peer)).toFixed(2)} times`

const middle = (values: number | readonly number[]): number =>
  typeof values === 'number' ? values : median(values)

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1000
}
