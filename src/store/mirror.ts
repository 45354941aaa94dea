/**
 * What the agents of this node do, as small files for people and scripts: `agents/<id>/{status,step,pid,branch}` (R39, R77). Written by
 * rename, so no reader sees half a value. Best effort: never read back, never waited for, nothing fails when the disk does.
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MIRROR_AGENTS_MAX, MIRROR_DELAY_MS, MIRROR_VALUE_BYTES_MAX } from '../core/limit.ts'
import { DIRECTORY_MODE, FILE_MODE } from './durable-file.ts'

export const MIRROR_FIELDS = ['status', 'step', 'pid', 'branch'] as const
export type MirrorField = (typeof MIRROR_FIELDS)[number]

export interface Mirror {
  /** The last value of a field wins; values in between may never reach the disk. */
  set(agentId: string, field: MirrorField, value: string | number): void
  remove(agentId: string): void
  /** Values that were not written: no room, or the disk refused. */
  readonly failures: number
  /** Resolves when everything so far was tried. Never rejects. */
  flush(): Promise<void>
  /** Flushes and stops. Idempotent. */
  close(): Promise<void>
}

interface Change {
  /** The directory goes before the fields are written. */
  clear: boolean
  readonly fields: Map<MirrorField, string>
}

/** Starts an empty mirror: what an earlier process life left there describes nobody any more. */
export function createMirror(dir: string): Mirror {
  return new DirectoryMirror(join(dir, 'agents'))
}

/** File name of an agent id: `/` becomes `~`, anything else unusual `%XX`. */
export function mirrorName(agentId: string): string {
  const name = agentId
    .replaceAll('/', '~')
    .replace(/[^A-Za-z0-9._~-]/gu, (char) =>
      Array.from(Buffer.from(char), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
    )
  return name.startsWith('.') ? `%2e${name.slice(1)}` : name
}

class DirectoryMirror implements Mirror {
  readonly #dir: string
  readonly #agents = new Set<string>()
  #changes = new Map<string, Change>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined
  #isClean = false
  #isClosed = false
  #failures = 0

  constructor(dir: string) {
    this.#dir = dir
    this.#schedule()
  }

  get failures(): number {
    return this.#failures
  }

  set(agentId: string, field: MirrorField, value: string | number): void {
    if (this.#isClosed) return
    const name = mirrorName(agentId)
    if (!this.#agents.has(name)) {
      if (this.#agents.size >= MIRROR_AGENTS_MAX || name === '' || name.length > 255) {
        this.#failures++
        return
      }
      this.#agents.add(name)
    }
    let change = this.#changes.get(name)
    if (!change) {
      change = { clear: false, fields: new Map() }
      this.#changes.set(name, change)
    }
    change.fields.set(field, Buffer.from(`${value}`).subarray(0, MIRROR_VALUE_BYTES_MAX).toString())
    this.#schedule()
  }

  remove(agentId: string): void {
    const name = mirrorName(agentId)
    if (this.#isClosed || !this.#agents.delete(name)) return
    this.#changes.set(name, { clear: true, fields: new Map() })
    this.#schedule()
  }

  #schedule(): void {
    if (this.#timer || this.#writing) return
    this.#timer = setTimeout(() => void this.#write(), MIRROR_DELAY_MS)
    this.#timer.unref()
  }

  #write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
      if (this.#changes.size > 0) this.#schedule()
    })
    return this.#writing
  }

  async #writeAll(): Promise<void> {
    if (!this.#isClean) {
      await this.#attempt(() => rm(this.#dir, { recursive: true, force: true }))
      this.#isClean = true
    }
    const changes = this.#changes
    this.#changes = new Map()
    const next = changes.entries()
    const worker = async () => {
      for (const [name, change] of next) {
        const dir = join(this.#dir, name)
        if (change.clear) await this.#attempt(() => rm(dir, { recursive: true, force: true }))
        if (change.fields.size > 0) await this.#attempt(() => writeAgent(dir, change.fields))
      }
    }
    // As many as the thread pool takes at once.
    await Promise.all([worker(), worker(), worker(), worker()])
  }

  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch {
      this.#failures++
    }
  }

  async flush(): Promise<void> {
    if (this.#writing) await this.#writing
    if (this.#changes.size > 0 || !this.#isClean) await this.#write()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

async function writeAgent(dir: string, fields: ReadonlyMap<MirrorField, string>): Promise<void> {
  await mkdir(dir, { recursive: true, mode: DIRECTORY_MODE })
  for (const [field, value] of fields) {
    const fresh = join(dir, `.${field}.new`)
    await writeFile(fresh, `${value}\n`, { mode: FILE_MODE })
    await rename(fresh, join(dir, field))
  }
}
