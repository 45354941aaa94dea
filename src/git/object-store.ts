/**
 * Objects of one of our bare repositories, fast: read through one long-lived process, parsed trees and commits remembered, loose objects written
 * straight from here. A fold of 50 deltas makes some 400 reads and 200 writes.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { TREE_ENTRIES_CACHED_MAX } from '../core/limit.ts'
import type { GitCall } from './command.ts'
import {
  type Commit,
  formatCommit,
  formatTree,
  type ObjectFormat,
  type ObjectType,
  objectId,
  parseCommit,
  parseTree,
  type TreeEntry,
} from './object.ts'
import { type GitObject, ObjectReader } from './object-reader.ts'

const deflated = promisify(deflate)

export type TreeMap = ReadonlyMap<string, TreeEntry>

export class ObjectStore {
  readonly format: ObjectFormat
  readonly #reader: ObjectReader
  readonly #objectDir: string
  #trees = new Map<Oid, TreeMap>()
  #treeEntries = 0
  #commits = new Map<Oid, Commit>()
  #writing = new Map<Oid, Promise<void>>()
  #written = new Map<Oid, string>()
  #unsynced = new Set<string>()

  /** `call` names the git directory, and a quarantine's object directory if it is one. */
  constructor(call: GitCall & { readonly gitDir: string }, format: ObjectFormat) {
    this.#reader = new ObjectReader(call)
    this.format = format
    this.#objectDir = call.objectDir ?? join(call.gitDir, 'objects')
  }

  /** Type, size and content; `undefined` when there is no such object. `name` is an oid or a full ref. */
  async read(name: string): Promise<GitObject | undefined> {
    await this.#writing.get(name)
    return this.#reader.ask('contents', name)
  }

  async info(name: string): Promise<GitObject | undefined> {
    await this.#writing.get(name)
    return this.#reader.ask('info', name)
  }

  /** Entries of a tree by name. The empty oid `''` is the empty tree. */
  async tree(oid: Oid): Promise<TreeMap> {
    if (oid === '') return new Map()
    const known = this.#trees.get(oid)
    if (known) {
      this.#trees.delete(oid)
      this.#trees.set(oid, known)
      return known
    }
    const map = new Map((await this.rawTree(oid)).map((entry) => [entry.name, entry]))
    this.#keepTree(oid, map)
    return map
  }

  /** Entries as they are written, in their order, doubles included: for the lint. */
  async rawTree(oid: Oid): Promise<TreeEntry[]> {
    const object = await this.read(oid)
    if (object?.type !== 'tree') throw missing('tree', oid, object)
    return parseTree(object.body, this.format)
  }

  async commit(oid: Oid): Promise<Commit> {
    const known = this.#commits.get(oid)
    if (known) return known
    const object = await this.read(oid)
    if (object?.type !== 'commit') throw missing('commit', oid, object)
    const commit = parseCommit(object.body)
    this.#keepCommit(oid, commit)
    return commit
  }

  writeTree(entries: readonly TreeEntry[]): Oid {
    const oid = this.write('tree', formatTree(entries))
    this.#keepTree(oid, new Map(entries.map((entry) => [entry.name, entry])))
    return oid
  }

  writeCommit(commit: Commit): Oid {
    const oid = this.write('commit', formatCommit(commit))
    this.#keepCommit(oid, commit)
    return oid
  }

  /** The id at once; the file is there after `flush`, and survives a power cut after `sync`. */
  write(type: ObjectType, body: Buffer): Oid {
    const oid = objectId(this.format, type, body)
    if (this.#written.has(oid) || this.#writing.has(oid)) return oid
    const job = this.#writeLoose(oid, type, body).finally(() => this.#writing.delete(oid))
    // A failed write is told by `flush`, or by the read that waits for it.
    job.catch(() => {})
    this.#writing.set(oid, job)
    return oid
  }

  /** Waits until all written objects can be read by other processes. */
  async flush(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing.values())
  }

  /** Objects that another process wrote for us without making them durable: `sync` does it, where they are files. */
  note(oids: Iterable<Oid>): void {
    for (const oid of oids) this.#unsynced.add(this.#pathOf(oid))
  }

  #pathOf(oid: Oid): string {
    return join(this.#objectDir, oid.slice(0, 2), oid.slice(2))
  }

  /** Makes all objects written so far durable. Call before a ref points to them. */
  async sync(): Promise<void> {
    await this.flush()
    const paths = [...this.#unsynced]
    await Promise.all(
      paths.map(async (path) => {
        const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
          // In a pack already.
          if (error.code !== 'ENOENT') throw error
        })
        await file?.sync().finally(() => file.close())
        this.#unsynced.delete(path)
      }),
    )
  }

  /** Ends the process. The store may be used again: it starts another. */
  async close(): Promise<void> {
    await this.flush().catch(() => {})
    await this.#reader.close()
  }

  async #writeLoose(oid: Oid, type: ObjectType, body: Buffer): Promise<void> {
    const dir = join(this.#objectDir, oid.slice(0, 2))
    const path = this.#pathOf(oid)
    // An empty file is what a power cut leaves of an object that was not made durable.
    const there = await stat(path).then(
      (found) => found.size > 0,
      () => false,
    )
    if (!there) {
      const bytes = await deflated(Buffer.concat([Buffer.from(`${type} ${body.length}\0`), body]), {
        level: 1,
      })
      const draft = join(this.#objectDir, `tmp_obj_${randomBytes(8).toString('hex')}`)
      try {
        const file = await open(draft, 'wx', 0o444)
        await file.writeFile(bytes).finally(() => file.close())
        await rename(draft, path).catch(async (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error
          await mkdir(dir, { recursive: true })
          await rename(draft, path)
        })
      } catch (cause) {
        const full = ['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')
        throw new OrchError(full ? 'ORCH_DISK_FULL' : 'ORCH_DISK_FAILED', `cannot write object ${oid}`, {
          cause,
        })
      }
    }
    this.#unsynced.add(path)
    this.#written.set(oid, path)
    if (this.#written.size > 50_000) this.#written.clear()
  }

  #keepTree(oid: Oid, map: TreeMap): void {
    if (this.#trees.has(oid)) return
    this.#trees.set(oid, map)
    this.#treeEntries += map.size
    for (const [oldest, entries] of this.#trees) {
      if (this.#treeEntries <= TREE_ENTRIES_CACHED_MAX || oldest === oid) break
      this.#trees.delete(oldest)
      this.#treeEntries -= entries.size
    }
  }

  #keepCommit(oid: Oid, commit: Commit): void {
    if (this.#commits.size >= 10_000) this.#commits.clear()
    this.#commits.set(oid, commit)
  }
}

function missing(type: string, oid: Oid, found: GitObject | undefined): OrchError {
  const what = found ? `is a ${found.type}` : 'is missing'
  return new OrchError('ORCH_GIT_FAILED', `${type} ${oid} ${what}`, { context: { oid, type } })
}
