// One fio job on one file, and the rate it had.

import { run } from './world.ts'

export type Job = {
  readonly rw: 'read' | 'write' | 'randread'
  /** Bytes of one read(2) or write(2), and of the file. */
  readonly block: number
  readonly size: number
  /** Bytes to read at random; by default as many as the file has. No block is read twice. */
  readonly total?: number
  /** So many processes do it, each as much. */
  readonly jobs?: number
  /** The kernel keeps the pages it has of the file; otherwise they are dropped before. */
  readonly keep?: boolean
  /** An fsync(2) at the end, which counts. */
  readonly fsync?: boolean
}

export type Rate = { readonly bytesPerSecond: number; readonly callsPerSecond: number }

type Direction = { io_bytes: number; total_ios: number; runtime: number; lat_ns: { mean: number } }

export async function fio(file: string, job: Job): Promise<Rate> {
  const { rw, block, size, total = size, jobs = 1, keep = false, fsync = false } = job
  const options = {
    name: 'job',
    filename: file,
    ioengine: 'psync',
    fallocate: 'none',
    rw,
    bs: block,
    size,
    io_size: total,
    numjobs: jobs,
    invalidate: keep ? 0 : 1,
    end_fsync: fsync ? 1 : 0,
    'output-format': 'json',
  }
  const given = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
  const { stdout } = await run('fio', [...given, '--thread', '--group_reporting'])
  const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
    jobs: [{ read: Direction; write: Direction }]
  }
  const { io_bytes, total_ios, runtime, lat_ns } = report.jobs[0][rw === 'write' ? 'write' : 'read']
  // Its clock is in milliseconds, but the calls are timed in nanoseconds; an fsync is only in the former.
  const seconds = fsync ? runtime / 1000 : (lat_ns.mean * total_ios) / jobs / 1e9
  return { bytesPerSecond: io_bytes / seconds, callsPerSecond: total_ios / seconds }
}
