// JSON that loses no digit. Others may keep whole nanoseconds in their metadata, beyond what
// a number here can hold: such integers stay as they are written, also through JSON.stringify.

type RawJson = { rawJSON(text: string): unknown }

/** Looking at each number costs time, so that is done only where there are long ones. */
const longNumbers = /[[:,]\s*-?\d{16,}\s*[,}\]]/

/** JSON.parse, with integers beyond 2^53 kept as JSON.rawJSON. Throws SyntaxError. */
export const parseExact = (text: string): unknown =>
  JSON.parse(text, longNumbers.test(text) ? keepLong : undefined)

function keepLong(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const source = context?.source ?? ''
  return /^-?\d+$/.test(source) ? (JSON as unknown as RawJson).rawJSON(source) : value
}
