// The thread that writes the database. It is handed groups of named statements and
// commits each group as one transaction; nobody else writes, so nothing ever waits for a lock.

import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { type Op, statements } from './schema.ts'

const { file } = workerData as { file: string }
const db = new DatabaseSync(file, { readBigInts: true })
db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON')

const prepared = new Map<string, StatementSync>()
const statement = (name: keyof typeof statements): StatementSync => {
  let found = prepared.get(name)
  if (!found) prepared.set(name, (found = db.prepare(statements[name])))
  return found
}

function commit(ops: readonly Op[]): void {
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const [name, ...values] of ops) statement(name).run(...(values as SQLInputValue[]))
    db.exec('COMMIT')
  } catch (err) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw err
  }
}

parentPort!.on('message', (ops: readonly Op[] | 'close') => {
  if (ops === 'close') {
    db.close()
    parentPort!.close()
    return
  }
  try {
    commit(ops)
    parentPort!.postMessage(null)
  } catch (err) {
    parentPort!.postMessage(err instanceof Error ? err.message : String(err))
  }
})
