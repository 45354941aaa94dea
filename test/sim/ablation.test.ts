/** A simulator that finds nothing proves nothing: each of these bugs, planted in the parts it plays, must be found by a few seeds that are clean without it. */
import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type * as AckModule from '../../src/core/ack.ts'
import type * as ClaimModule from '../../src/core/claim.ts'
import type * as HoldModule from '../../src/core/hold.ts'
import type * as JudgeModule from '../../src/core/judge.ts'
import type * as LimitModule from '../../src/core/limit.ts'
import type * as NodeStateModule from '../../src/core/node-state.ts'
import type * as PresenceModule from '../../src/core/presence.ts'
import type * as TermModule from '../../src/core/term.ts'
import type * as DiskModule from '../../src/sim/disk.ts'
import type * as MachineModule from '../../src/sim/machine.ts'
import type * as NetworkModule from '../../src/sim/network.ts'
import type * as RepositoryModule from '../../src/sim/repository.ts'
import type * as SignatureModule from '../../src/sim/signature.ts'
import type * as CrdtModule from '../../src/store/crdt.ts'
import type * as FrameModule from '../../src/store/frame.ts'
import type * as GuardModule from '../../src/store/guard.ts'
import type * as LinkModule from '../../src/store/link.ts'
import type * as ProofModule from '../../src/store/proof.ts'
import type * as PlayModule from './play.ts'
import type { Game, Outcome } from './play.ts'

const LONG_MS = 400_000
const SMALL = { nodes: 5, tasks: 24, from: 1 } as const
const PARTS = [
  'core/ack',
  'core/claim',
  'core/hold',
  'core/judge',
  'core/limit',
  'core/node-state',
  'core/presence',
  'core/term',
  'sim/disk',
  'sim/machine',
  'sim/network',
  'sim/repository',
  'sim/signature',
  'store/crdt',
  'store/guard',
  'store/link',
  'store/proof',
]

beforeEach(() => {
  vi.resetModules()
  for (const part of PARTS) vi.doUnmock(`../../src/${part}.ts`)
})

async function played(game: Omit<Game, 'nodes' | 'tasks' | 'from'> & Partial<Game>): Promise<Outcome> {
  const { play }: typeof PlayModule = await import('./play.ts')
  return play({ ...SMALL, untilBroken: true, ...game })
}

function plant<M extends object>(part: string, change: (actual: M) => Partial<M>): void {
  vi.doMock(`../../src/${part}.ts`, async (original) => {
    const actual = await original<M>()
    return { ...actual, ...change(actual) }
  })
}

/** The same seeds without the bug. */
async function isClean(faults: string, count: number): Promise<void> {
  vi.resetModules()
  for (const part of PARTS) vi.doUnmock(`../../src/${part}.ts`)
  expect((await played({ faults, count })).broken).toEqual([])
}

const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex')

describe('planted bugs', () => {
  it(
    '[SI10] the last writer holds the task',
    async () => {
      plant<typeof ClaimModule>('core/claim', (actual) => ({
        holder: (slot, entries) =>
          entries.findLast(
            (e) => e.round === slot.round && e.epoch === slot.epoch && actual.entryClass(e) !== undefined,
          ),
      }))
      expect((await played({ faults: 'partition,delay,reorder', count: 6 })).broken.join('\n')).toMatch(
        / I\d+ /,
      )
      await isClean('partition,delay,reorder', 6)
    },
    LONG_MS,
  )

  it(
    '[SI10] one suspecter, after three seconds',
    async () => {
      const sound = await played({ faults: 'loss,delay,pause', count: 4, untilBroken: false })
      vi.resetModules()
      plant<typeof LimitModule>('core/limit', () => ({
        SUSPECT_MS: 3_000 as never,
        SUSPECT_ALONE_MS: 3_000 as never,
      }))
      const hasty = await played({ faults: 'loss,delay,pause', count: 4, untilBroken: false })
      expect(hasty.figures.falseVoids).toBeGreaterThan(sound.figures.falseVoids + 5)
    },
    LONG_MS,
  )

  it(
    '[SI10] frames are no sign of life',
    async () => {
      // Where beats are mostly lost, frames are what tells the living from the dead.
      const noisy = (): void =>
        plant<typeof NetworkModule>('sim/network', ({ Network }) => ({
          Network: class extends Network {
            #n = 1
            override toss(
              ...[from, to, arrive, isQuiet]: Parameters<InstanceType<typeof Network>['toss']>
            ): void {
              this.#n = (this.#n * 48_271) % 2_147_483_647
              if (!isQuiet || this.#n % 5 === 0) super.toss(from, to, arrive, isQuiet)
            }
          },
        }))
      noisy()
      const sound = await played({ faults: 'calm', count: 4, untilBroken: false, tasks: 60 })
      vi.resetModules()
      noisy()
      plant<typeof PresenceModule>('core/presence', ({ Presence }) => ({
        Presence: class extends Presence {
          override frame(): void {}
        },
      }))
      const deaf = await played({ faults: 'calm', count: 4, untilBroken: false, tasks: 60 })
      expect(deaf.figures.falseVoids).toBeGreaterThan(sound.figures.falseVoids * 1.1)
    },
    LONG_MS,
  )

  it(
    '[SI10] frames that name another frame before them',
    async () => {
      plant<typeof ProofModule>('store/proof', () => ({ proofOf: () => undefined }))
      plant<typeof LinkModule>('store/link', (actual) => ({
        linkFrames: (chain, keys, [frame, ...more]) =>
          frame
            ? actual.linkFrames(chain, keys, [{ ...frame, prev: chain.head }, ...more])
            : actual.linkFrames(chain, keys, []),
      }))
      expect((await played({ faults: 'equivocation', count: 6, tasks: 60 })).broken.join('\n')).toMatch(
        / (I\d+|L\d) /,
      )
      await isClean('equivocation', 4)
    },
    LONG_MS,
  )

  it(
    '[SI10] no guard before the body of a frame',
    async () => {
      plant<typeof GuardModule>('store/guard', () => ({ guard: () => ({ ok: true }) }))
      expect((await played({ faults: 'forged-author', count: 4 })).broken.join('\n')).toMatch(
        / (I\d+|L\d|crash) /,
      )
      await isClean('forged-author', 4)
    },
    LONG_MS,
  )

  it(
    '[SI10] signatures are not looked at',
    async () => {
      plant<typeof SignatureModule>('sim/signature', () => ({ verifySignature: () => true }))
      expect((await played({ faults: 'forged-author,bit-flip', count: 4 })).broken).not.toEqual([])
    },
    LONG_MS,
  )

  it(
    '[SI10] believed before it is checked',
    async () => {
      const { readFrame }: typeof FrameModule = await import('../../src/store/frame.ts')
      const { readBatches }: typeof GuardModule = await import('../../src/store/guard.ts')
      plant<typeof CrdtModule>('store/crdt', (actual) => ({
        openCrdtStore: async (options) => {
          const store = await actual.openCrdtStore(options)
          const watch = store.watch.bind(store)
          let tell: Parameters<typeof watch>[0] = () => {}
          store.watch = (listener) => {
            tell = listener
            return watch(listener)
          }
          const ingest = store.replica.ingest.bind(store.replica)
          store.replica.ingest = (bytes) => {
            const reading = readFrame(bytes)
            if (reading.ok) {
              try {
                for (const batch of readBatches(reading.frame)) tell(batch)
              } catch {
                // Not even readable.
              }
            }
            return ingest(bytes)
          }
          return store
        },
      }))
      expect((await played({ faults: 'forged-author,bit-flip', count: 4 })).broken.join('\n')).toMatch(
        / (I\d+|L\d) /,
      )
    },
    LONG_MS,
  )

  it(
    '[SI10] the sync compares how much is known, not what',
    async () => {
      plant<typeof CrdtModule>('store/crdt', (actual) => ({
        openCrdtStore: async (options) => {
          const store = await actual.openCrdtStore(options)
          const { replica } = store
          const heads = replica.heads.bind(replica)
          const docs = replica.docs.bind(replica)
          replica.heads = (doc) => heads(doc).map((head) => ({ ...head, head: '0'.repeat(64) }))
          replica.docs = () => docs().map(({ doc }) => ({ doc, digest: digestOf(replica.heads(doc)) }))
          replica.digest = () => digestOf(replica.docs())
          return store
        },
      }))
      expect((await played({ faults: 'equivocation', count: 6, tasks: 60 })).broken.join('\n')).toMatch(
        / (I\d+|L\d) /,
      )
    },
    LONG_MS,
  )

  it(
    '[SI10] accepted before the ref has moved',
    async () => {
      plant<typeof RepositoryModule>('sim/repository', ({ Repository }) => ({
        Repository: class extends Repository {
          #late: Parameters<InstanceType<typeof Repository>['advance']>[0] | undefined
          override advance(effect: Parameters<InstanceType<typeof Repository>['advance']>[0]) {
            if (this.#late) super.advance(this.#late)
            this.#late = effect
            return [{ type: 'advanced' as const, run: effect.run, job: effect.job, ok: true }]
          }
        },
      }))
      expect((await played({ faults: 'crash', count: 3 })).broken.join('\n')).toMatch(/ I11 /)
      await isClean('crash', 3)
    },
    LONG_MS,
  )

  it(
    '[SI10] work counts before anybody else has it',
    async () => {
      plant<typeof AckModule>('core/ack', () => ({ isShared: () => true, isUnshared: () => false }))
      expect((await played({ faults: 'partition,crash', count: 6 })).broken.join('\n')).toMatch(/ I24 /)
      await isClean('partition,crash', 6)
    },
    LONG_MS,
  )

  it(
    '[SI10] others hear of it before it is on the disk',
    async () => {
      plant<typeof DiskModule>('sim/disk', ({ Disk }) => ({
        Disk: class extends Disk {
          override open(wait: Parameters<InstanceType<typeof Disk>['open']>[0]) {
            const disk = super.open(wait)
            return Object.assign(Object.create(disk) as typeof disk, {
              scan: () => disk.scan(),
              proofs: () => disk.proofs(),
              read: (...range: Parameters<typeof disk.read>) => disk.read(...range),
              drop: (doc: string) => disk.drop(doc),
              close: () => disk.close(),
              write: async (changes: Parameters<typeof disk.write>[0]) => {
                await disk.write(changes, { sync: false })
              },
            })
          }
        },
      }))
      expect((await played({ faults: 'lost-tail', count: 3 })).broken.join('\n')).toMatch(/ I21 /)
      await isClean('lost-tail', 3)
    },
    LONG_MS,
  )

  it(
    '[SI10] a process life that goes under the name of an earlier one',
    async () => {
      plant<typeof MachineModule>('sim/machine', ({ Machine }) => ({
        Machine: class extends Machine {
          constructor(parts: ConstructorParameters<typeof Machine>[0]) {
            super(parts)
            Object.defineProperty(this, 'lives', { get: () => 1, set: () => {} })
          }
        },
      }))
      expect((await played({ faults: 'crash', count: 2 })).broken.join('\n')).toMatch(/ crash /)
    },
    LONG_MS,
  )

  it(
    '[SI10] anybody accepts',
    async () => {
      plant<typeof TermModule>('core/term', () => ({ isStanding: () => true }))
      plant<typeof NodeStateModule>('core/node-state', ({ NodeState }) => ({
        NodeState: class extends NodeState {
          override isIntegrator(): boolean {
            return this.may('planner')
          }
        },
      }))
      expect((await played({ faults: 'partition,delay', count: 3 })).broken.join('\n')).toMatch(/ I\d+ /)
      await isClean('partition,delay', 3)
    },
    LONG_MS,
  )

  it(
    '[SI10] roles are looked at by who writes, and by nobody else',
    async () => {
      plant<typeof JudgeModule>('core/judge', ({ Judge }) => ({
        Judge: class extends Judge {
          override take(batch: Parameters<InstanceType<typeof Judge>['take']>[0]) {
            super.take(batch)
            return batch.facts.filter(({ collection }) => collection !== 'members')
          }
        },
      }))
      expect((await played({ faults: 'overreach', count: 3 })).broken.join('\n')).toMatch(/ (I\d+|L\d) /)
      await isClean('overreach', 3)
    },
    LONG_MS,
  )

  it(
    '[SI10] what a lost member holds is never taken from it',
    async () => {
      plant<typeof HoldModule>('core/hold', () => ({ voidHeld: () => {}, voidDue: () => {} }))
      expect((await played({ faults: 'crash-for-good', count: 8 })).broken.join('\n')).toMatch(/ L2 /)
      await isClean('crash-for-good', 8)
    },
    LONG_MS,
  )
})
