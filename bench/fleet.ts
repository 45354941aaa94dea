/** Members of one cluster, each in a process of its own on loopback: what the benches of the cluster start, ask and kill. Only processes that were started here are ended. */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Asked } from './asked.ts'
import { nextMessage, startChild } from './child.ts'
import { withDirectory } from './disk.ts'
import type { Deed, MemberCall, MemberSettings } from './member.ts'

export type { Deed }

const SEEN_MS_MAX = 120_000
const LOOK_MS = 20

export interface Submitted {
  readonly run: string
  /** CLOCK_MONOTONIC in ms, before the call. */
  readonly at: number
  readonly answeredMs: number
}

export interface Audit {
  readonly accepted: number
  /** Tasks that more than one result was accepted for. */
  readonly twice: number
  readonly done: number
  /** Starts on the board: more than tasks = some were begun by several nodes. */
  readonly starts: number
}

export interface Usage {
  readonly cpu: NodeJS.CpuUsage
  readonly rss: number
  readonly at: number
}

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export class Member extends Asked<MemberCall> {
  readonly openedMs: number
  /** All that its handlers told, in order. */
  readonly deeds: Deed[] = []
  onDeed: (deed: Deed) => void = () => {}

  constructor(name: string, child: ChildProcess, openedMs: number) {
    super(name, child)
    this.openedMs = openedMs
    child.on('message', (message: { readonly deeds?: readonly Deed[] }) => {
      for (const deed of message.deeds ?? []) {
        this.deeds.push(deed)
        this.onDeed(deed)
      }
    })
  }

  /** Handlers that began and did not end. */
  underWay(): string[] {
    const open = new Set<string>()
    for (const [kind, task] of this.deeds)
      if (kind === 'began') open.add(task)
      else open.delete(task)
    return [...open]
  }
}

export type FleetSettings = Pick<MemberSettings, 'concurrency'> &
  Partial<Pick<MemberSettings, 'taskMs' | 'prompt' | 'run'>>

export class Fleet {
  readonly members: Member[] = []
  readonly #dir: string
  readonly #settings: FleetSettings

  constructor(dir: string, settings: FleetSettings) {
    this.#dir = dir
    this.#settings = settings
  }

  /** Starts a member, or the same one again. */
  async add(name: string, join_?: string, more: Partial<FleetSettings> = {}): Promise<Member> {
    const settings: MemberSettings = {
      dataDir: join(this.#dir, name),
      name,
      taskMs: 0,
      prompt: false,
      ...this.#settings,
      ...more,
      ...(join_ === undefined ? {} : { join: join_ }),
    }
    const child = startChild('member.ts', JSON.stringify(settings))
    const { openedMs } = await nextMessage<{ openedMs: number }>(child)
    const member = new Member(name, child, openedMs)
    this.members.push(member)
    return member
  }

  /** Resolves when every member counts so many as live. */
  async seen(count: number, by: readonly Member[] = this.members): Promise<void> {
    const until = nowMs() + SEEN_MS_MAX
    for (const member of by)
      while ((await member.ask<number>({ do: 'live' })) < count) {
        if (nowMs() > until) throw new Error(`${member.name} never saw ${count} members live`)
        await sleep(LOOK_MS)
      }
  }

  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()))
  }
}

/** `count` members, the first founds; each sees all others when `use` begins. */
export function withFleet<T>(
  count: number,
  settings: FleetSettings,
  use: (fleet: Fleet) => Promise<T>,
): Promise<T> {
  return withDirectory(async (dir) => {
    const fleet = new Fleet(dir, settings)
    try {
      const founder = await fleet.add('m0')
      if (count > 1) {
        const token = await founder.ask<string>({ do: 'invite' })
        await Promise.all(Array.from({ length: count - 1 }, (_, k) => fleet.add(`m${k + 1}`, token)))
        await fleet.seen(count)
      }
      return await use(fleet)
    } finally {
      await fleet.end()
    }
  })
}

/** How often each task was begun, by all members. */
export function executions(members: readonly Member[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { deeds } of members)
    for (const [kind, task] of deeds) if (kind === 'began') counts.set(task, (counts.get(task) ?? 0) + 1)
  return counts
}
