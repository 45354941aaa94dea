/**
 * Documents of the board as `Y.Doc`, for clients that speak Yjs. Made from frames when the first holder asks, kept current while anybody holds it, destroyed with the last.
 * Nothing else needs it: facts are read from frames.
 */
import { setImmediate as yieldToOthers } from 'node:timers/promises'
import * as Y from 'yjs'
import type { DocId } from '../core/id.ts'
import { type Frame, readFrame } from './frame.ts'
import type { FrameReplica } from './replica.ts'

export interface DocView {
  /** To read only: a write of the holder is on no disk and reaches no other node. */
  readonly doc: Y.Doc
  /** What a copy with this state vector lacks, as one update. @throws when it is none */
  updateSince(stateVector: Uint8Array): Uint8Array
  /** True when `doc` has all that is in an update. @throws when it is none */
  holds(update: Uint8Array): boolean
  /** Calls back with each change of `doc`, as an update. Returns the undo. */
  onUpdate(listener: (update: Uint8Array) => void): () => void
  /** Calls back when `doc` is destroyed although it is held, at once if it is: hold a new one. Returns the undo. */
  onReset(listener: (why: ViewEnd) => void): () => void
  /** Idempotent. */
  release(): void
}

/** Facts that it shows do not count any more; the document is not kept any more; the store was closed. */
export type ViewEnd = 'withdrawn' | 'dropped' | 'closed'

/** Applied at once: 100,000 facts are 14 MB and take a second in all, and the node has other work. */
const PIECE_BYTES = 256 * 1024

/** An update that says nothing. */
const EMPTY_BYTES = 2

/** Origin of every transaction on such a document. */
const BOARD = 'board'

export class DocViews {
  readonly #replica: FrameReplica
  readonly #held = new Map<DocId, Held>()

  constructor(replica: FrameReplica) {
    this.#replica = replica
  }

  /** Resolves when the document shows everything that is known of it. @throws what the disk throws */
  async hold(name: DocId): Promise<DocView> {
    let held = this.#held.get(name)
    if (!held) {
      const fresh = new Held(this.#replica, name, () => {
        if (this.#held.get(name) === fresh) this.#held.delete(name)
      })
      held = fresh
      this.#held.set(name, fresh)
    }
    const release = held.take()
    try {
      await held.loaded
    } catch (error) {
      release()
      throw error
    }
    const from = held
    const { doc, listeners } = held
    return {
      doc,
      release,
      updateSince: (stateVector) => Y.encodeStateAsUpdate(doc, stateVector),
      holds: (update) => Y.diffUpdate(update, Y.encodeStateVector(doc)).length <= EMPTY_BYTES,
      onUpdate: (listener) => {
        const own = (update: Uint8Array): void => listener(update)
        doc.on('update', own)
        return () => doc.off('update', own)
      },
      onReset: (listener) => {
        const own = (why: ViewEnd): void => listener(why)
        if (from.ended) own(from.ended)
        else listeners.add(own)
        return () => listeners.delete(own)
      },
    }
  }

  /** Ends the views of one document, or of all. */
  end(why: ViewEnd, name?: DocId): void {
    for (const [held, view] of [...this.#held]) if (name === undefined || held === name) view.reset(why)
  }
}

class Held {
  readonly doc = new Y.Doc()
  readonly loaded: Promise<void>
  readonly listeners = new Set<(why: ViewEnd) => void>()
  ended: ViewEnd | undefined
  readonly #replica: FrameReplica
  readonly #name: DocId
  readonly #onEnd: () => void
  readonly #undo: (() => void)[]
  /** Frames that came while those before them were read. */
  #early: Uint8Array[] | undefined = []
  #holders = 0
  #isOver = false

  constructor(replica: FrameReplica, name: DocId, onEnd: () => void) {
    this.#replica = replica
    this.#name = name
    this.#onEnd = onEnd
    this.#undo = [
      replica.onFrame((frame) => this.#next(frame)),
      replica.onOwnFrame((bytes) => {
        const reading = readFrame(bytes)
        if (reading.ok) this.#next(reading.frame)
      }),
      replica.onCut((chain) => {
        if (chain.doc === name) this.reset('withdrawn')
      }),
    ]
    this.loaded = this.#load()
    // Each holder awaits it by himself.
    this.loaded.catch(() => {})
  }

  take(): () => void {
    this.#holders++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holders--
      if (this.#holders === 0) this.#end()
    }
  }

  async #load(): Promise<void> {
    for (const head of this.#replica.heads(this.#name)) {
      let bodies: Uint8Array[] = []
      let size = 0
      for await (const bytes of this.#replica.range(head, 1, head.n)) {
        if (this.#isOver) return
        const reading = readFrame(bytes)
        if (reading.ok) bodies.push(reading.frame.body)
        size += bytes.length
        if (size < PIECE_BYTES) continue
        this.#apply(bodies)
        bodies = []
        size = 0
        await yieldToOthers()
      }
      this.#apply(bodies)
    }
    const early = this.#early ?? []
    this.#early = undefined
    this.#apply(early)
  }

  #next(frame: Frame): void {
    if (frame.doc !== this.#name) return
    if (this.#early) this.#early.push(frame.body)
    else this.#apply([frame.body])
  }

  /** In one transaction: each costs more than what it applies. */
  #apply(bodies: readonly Uint8Array[]): void {
    if (this.#isOver || bodies.length === 0) return
    this.doc.transact(() => {
      for (const body of bodies) Y.applyUpdate(this.doc, body, BOARD)
    }, BOARD)
  }

  reset(why: ViewEnd): void {
    this.ended ??= why
    const listeners = [...this.listeners]
    this.#end()
    for (const listener of listeners) listener(why)
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#early = undefined
    for (const undo of this.#undo) undo()
    this.listeners.clear()
    this.doc.destroy()
    this.#onEnd()
  }
}
