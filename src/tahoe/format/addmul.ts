// The inner loop of erasure coding, into[i] ^= factor * from[i]: in WebAssembly with 128-bit
// SIMD, and in plain JavaScript for where there is none. Both give the same bytes.

import { multiply } from './gf256.ts'

/** Makes each output the sum of multiples of the inputs: `factors` has a row for each output. All are as long. */
export type Combine = (
  inputs: readonly Uint8Array[],
  factors: readonly Uint8Array[],
  outputs: readonly Uint8Array[],
) => void

/** Bytes of each input that are combined at a time: they stay near the processor. */
const STEP = 16 * 1024
const PAGE = 64 * 1024

/** For each factor its multiples of 0 … 15 and of 0x00, 0x10 … 0xf0. */
const nibbles = (): Uint8Array => {
  const table = new Uint8Array(256 * 32)
  for (let factor = 0; factor < 256; factor++)
    for (let i = 0; i < 16; i++) {
      table[factor * 32 + i] = multiply(factor, i)
      table[factor * 32 + 16 + i] = multiply(factor, i << 4)
    }
  return table
}

// (func (export "addmul") (param $into i32) (param $from i32) (param $end i32) (param $table i32)
//   (local $low v128) (local $high v128) (local $x v128)
//   (local.set $low (v128.load (local.get $table)))
//   (local.set $high (v128.load offset=16 (local.get $table)))
//   (loop
//     (local.set $x (v128.load (local.get $from)))
//     (v128.store (local.get $into)
//       (v128.xor (v128.load (local.get $into))
//         (v128.xor
//           (i8x16.swizzle (local.get $low) (v128.and (local.get $x) (v128.const i8x16 15 …)))
//           (i8x16.swizzle (local.get $high) (i8x16.shr_u (local.get $x) (i32.const 4))))))
//     (local.set $into (i32.add (local.get $into) (i32.const 16)))
//     (br_if 0 (i32.lt_u
//       (local.tee $from (i32.add (local.get $from) (i32.const 16)))
//       (local.get $end)))))
const [INTO, FROM, END, TABLE, LOW, HIGH, X] = [0, 1, 2, 3, 4, 5, 6] as const
const [GET, SET, TEE] = [0x20, 0x21, 0x22] as const
const I32 = 0x7f
const V128 = 0x7b
const LOAD = [0xfd, 0x00, 4]
const STORE = [0xfd, 0x0b, 4, 0]
const XOR = [0xfd, 0x51]
const SWIZZLE = [0xfd, 0x0e]
const LOW_NIBBLES = [0xfd, 0x0c, ...new Array<number>(16).fill(15), 0xfd, 0x4e]
const HIGH_NIBBLES = [0x41, 4, 0xfd, 0x6d]
const ADD_16 = [0x41, 16, 0x6a]
const LESS = 0x49
const BRANCH_IF = 0x0d
const LOOP = [0x03, 0x40]
const FINISH = 0x0b

const addmul = [
  ...[1, 3, V128],
  ...[GET, TABLE, ...LOAD, 0, SET, LOW],
  ...[GET, TABLE, ...LOAD, 16, SET, HIGH],
  ...LOOP,
  ...[GET, FROM, ...LOAD, 0, SET, X],
  ...[GET, INTO, GET, INTO, ...LOAD, 0],
  ...[GET, LOW, GET, X, ...LOW_NIBBLES, ...SWIZZLE],
  ...[GET, HIGH, GET, X, ...HIGH_NIBBLES, ...SWIZZLE],
  ...[...XOR, ...XOR, ...STORE],
  ...[GET, INTO, ...ADD_16, SET, INTO],
  ...[GET, FROM, ...ADD_16, TEE, FROM, GET, END, LESS, BRANCH_IF, 0],
  ...[FINISH, FINISH],
]

const text = (word: string): number[] => [word.length, ...Buffer.from(word)]
const section = (id: number, bytes: readonly number[]): number[] => [id, bytes.length, ...bytes]
const wasm = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 4, I32, I32, I32, I32, 0]),
  ...section(3, [1, 0]),
  ...section(5, [1, 0, 1]), // a page of memory, and as many more as are asked for
  ...section(7, [2, ...text('memory'), 2, 0, ...text('addmul'), 0, 0]),
  ...section(10, [1, addmul.length, ...addmul]),
])

/** What is used of it; TypeScript has its types only among a browser's. */
type Memory = { readonly buffer: ArrayBuffer; grow(pages: number): number }
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> }
}

/** Null where the processor, or this Node, has no SIMD. */
export function simd(): Combine | null {
  if (!WebAssembly.validate(wasm)) return null
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm))
  const memory = exports['memory'] as Memory
  const run = exports['addmul'] as (into: number, from: number, end: number, table: number) => void
  const table = nibbles()
  new Uint8Array(memory.buffer).set(table)
  let bytes = new Uint8Array(memory.buffer)

  return (inputs, factors, outputs) => {
    const length = inputs[0]!.length
    const into = table.length
    const start = into + STEP
    const end = start + inputs.length * STEP
    if (bytes.length < end) {
      memory.grow(Math.ceil((end - bytes.length) / PAGE))
      bytes = new Uint8Array(memory.buffer)
    }
    for (let at = 0; at < length; at += STEP) {
      const step = Math.min(STEP, length - at)
      for (const [i, input] of inputs.entries()) bytes.set(input.subarray(at, at + step), start + i * STEP)
      for (const [row, output] of outputs.entries()) {
        bytes.fill(0, into, into + step)
        for (const [i, factor] of factors[row]!.entries()) {
          const from = start + i * STEP
          if (factor !== 0) run(into, from, from + step, factor * 32) // to the next 16 bytes, which are nobody's
        }
        output.set(bytes.subarray(into, into + step), at)
      }
    }
  }
}

/** The same without WebAssembly, several times slower. */
export const plain: Combine = (inputs, factors, outputs) => {
  const multiples = new Uint8Array(256)
  for (const [row, output] of outputs.entries()) {
    output.fill(0)
    for (const [i, factor] of factors[row]!.entries()) {
      if (factor === 0) continue
      for (let x = 0; x < 256; x++) multiples[x] = multiply(factor, x)
      const input = inputs[i]!
      for (let at = 0; at < output.length; at++) output[at]! ^= multiples[input[at]!]!
    }
  }
}

export const combine: Combine = simd() ?? plain
