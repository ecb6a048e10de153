// A server that is not there: a folder on a disk that is not mounted, or does not work any more.

import { FsError } from '../../errors.ts'
import type { StorageServer } from './server.ts'

export class AbsentServer implements StorageServer {
  readonly id: Buffer
  readonly name: string
  readonly #why: string

  /** `why`: one line for a person. */
  constructor(id: Buffer, name: string, why: string) {
    this.id = id
    this.name = name
    this.#why = why
  }

  version = () => this.#gone()
  list = () => this.#gone()
  read = () => this.#gone()
  allocate = () => this.#gone()
  readTestWrite = () => this.#gone()
  addLease = () => this.#gone()
  adviseCorrupt = () => this.#gone()
  async close(): Promise<void> {}

  #gone(): Promise<never> {
    return Promise.reject(new FsError('EAGAIN', `${this.name}: ${this.#why}`))
  }
}
