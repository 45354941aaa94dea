/** The disk alone: what one durable append costs without anything around it. */
import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Milliseconds of each of `count` appends of 240 bytes with fdatasync, one after the other. */
export function rawSyncs(dir: string, count: number): Promise<number[]> {
  const fd = openSync(join(dir, 'raw'), 'a')
  const bytes = Buffer.alloc(240, 'x')
  const spans: number[] = []
  return new Promise((resolve, reject) => {
    const next = () => {
      if (spans.length === count) {
        closeSync(fd)
        resolve(spans)
        return
      }
      const start = performance.now()
      writeSync(fd, bytes)
      fdatasync(fd, (error) => {
        if (error) {
          reject(error)
          return
        }
        spans.push(performance.now() - start)
        next()
      })
    }
    next()
  })
}

export async function withDirectory<T>(use: (dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'orch-node-bench-'))
  try {
    return await use(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
