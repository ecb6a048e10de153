// The field with 256 elements that zfec counts in: polynomials over GF(2) modulo
// x^8 + x^4 + x^3 + x^2 + 1 (0x11d), which x (2) generates. Addition is xor.

const POLYNOMIAL = 0x11d

/** Powers of the generator, twice over, so that a sum of two logarithms is an index. */
const exp = new Uint8Array(510)
const log = new Uint8Array(256)
for (let i = 0, x = 1; i < 255; i++) {
  exp[i] = exp[i + 255] = x
  log[x] = i
  x <<= 1
  if (x > 255) x ^= POLYNOMIAL
}

export const power = (exponent: number): number => exp[exponent % 255]!

export const multiply = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : exp[log[a]! + log[b]!]!)

/** `a` is not 0. */
export const inverse = (a: number): number => exp[255 - log[a]!]!

/** Square, or not: rows of elements. */
export type Matrix = Uint8Array[]

export function product(a: Matrix, b: Matrix): Matrix {
  const width = b[0]!.length
  return a.map(row => {
    const out = new Uint8Array(width)
    for (let i = 0; i < row.length; i++) addMultiple(out, b[i]!, row[i]!)
    return out
  })
}

/** Of a square matrix that has an inverse. */
export function inverted(matrix: Matrix): Matrix {
  const size = matrix.length
  const left = matrix.map(row => Uint8Array.from(row))
  const right = left.map((_, i) => {
    const row = new Uint8Array(size)
    row[i] = 1
    return row
  })
  for (let i = 0; i < size; i++) {
    const pivot = left.findIndex((row, at) => at >= i && row[i] !== 0)
    ;[left[i], left[pivot]] = [left[pivot]!, left[i]!]
    ;[right[i], right[pivot]] = [right[pivot]!, right[i]!]
    const factor = inverse(left[i]![i]!)
    scale(left[i]!, factor)
    scale(right[i]!, factor)
    for (let at = 0; at < size; at++) {
      const multiple = left[at]![i]!
      if (at === i || multiple === 0) continue
      addMultiple(left[at]!, left[i]!, multiple)
      addMultiple(right[at]!, right[i]!, multiple)
    }
  }
  return right
}

function scale(row: Uint8Array, factor: number): void {
  for (let i = 0; i < row.length; i++) row[i] = multiply(row[i]!, factor)
}

function addMultiple(into: Uint8Array, row: Uint8Array, factor: number): void {
  if (factor === 0) return
  const shift = log[factor]!
  for (let i = 0; i < row.length; i++) if (row[i] !== 0) into[i]! ^= exp[log[row[i]!]! + shift]!
}
