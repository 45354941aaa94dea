/**
 * A whole cluster in one process, from a seed: real `step`, real boards, the memory store, a virtual clock. Faults: delayed and reordered delivery, partitions,
 * crashes (with and without the processes of the node), restarts with adoption, false suspicion. Work is a span of virtual time.
 */
import type { Result } from '../../src/core/attempt.ts'
import type { Effect } from '../../src/core/effect.ts'
import type { RunHeader } from '../../src/core/fact.ts'
import { sha256Hex } from '../../src/core/hash.ts'
import { Heap } from '../../src/core/heap.ts'
import type { AttemptId } from '../../src/core/id.ts'
import { readAttemptId } from '../../src/core/id.ts'
import type { Input, Reply } from '../../src/core/input.ts'
import { violations } from '../../src/core/invariant.ts'
import { NodeState } from '../../src/core/node-state.ts'
import { createPrng } from '../../src/core/prng.ts'
import { step } from '../../src/core/step.ts'
import type { TaskSpec } from '../../src/core/task.ts'
import { isStanding } from '../../src/core/term.ts'
import { createMemoryHub } from '../../src/store/memory.ts'
import type { CoordStore } from '../../src/store/store.ts'
import { boardOf, dump } from './fact-sets.ts'
import { BASE, FakeGit, type GitRules } from './fake-git.ts'

export interface ClusterOptions {
  readonly seed: number
  readonly nodes?: number
  readonly tasks?: number
  /** Every attempt succeeds, every candidate merges. */
  readonly steady?: boolean
  /** Faults happen until then; 0 = none. */
  readonly faultsMs?: number
  /** Nodes take the run over from its integrator, also in a partition. */
  readonly adopts?: boolean
  /** Nodes are drained, with and without time, and come back. */
  readonly drains?: boolean
  /** One node is lost for good, with its disk. */
  readonly loses?: boolean
  /** A planted bug of the edges, which the oracles must notice. */
  readonly planted?: 'accept-before-ref' | 'effects-before-disk' | 'ack-before-objects'
}

interface Event {
  readonly at: number
  readonly seq: number
  readonly run: () => void | Promise<void>
}

interface Process {
  readonly attempt: AttemptId
  endsAt: number
  result: Partial<Result>
}

interface Member {
  readonly id: string
  /** Its own repository: refs. */
  readonly git: FakeGit
  /** Commits whose objects are on its disk. */
  readonly objects: Set<string>
  /** For good. */
  isLost: boolean
  /** What it believed accepted: `position commit` by task. */
  readonly believed: Map<string, string>
  lives: number
  state: NodeState
  store: CoordStore
  isUp: boolean
  /** Processes on its machine: they may outlive the node. */
  processes: Map<AttemptId, Process>
  /** When an event looks at its timers. */
  wakeAt: number
  seenAt: Map<string, number>
  suspects: Set<string>
}

const RUN = 'run-1'
const SUSPECT_MS = 1_500
const END_MS = 600_000

export class Cluster {
  readonly options: ClusterOptions
  readonly members: Member[] = []
  readonly trace: string[] = []
  readonly problems: string[] = []
  now = 0
  starts = 0
  adoptions = 0
  /** Accepts that were lost by an adoption. */
  undone = 0
  fetches = 0
  readonly #rules: GitRules
  readonly #commits = new FakeGit().commits
  /** Every attempt whose process was begun, with its node. */
  readonly #ran: { readonly node: string; readonly attempt: AttemptId }[] = []
  /** Facts that the planted bug has not written yet. */
  #unwritten = 0
  readonly #random: () => number
  readonly #hub
  readonly #events = new Heap<Event>((a, b) => a.at < b.at || (a.at === b.at && a.seq < b.seq))
  #seq = 0
  #groups: readonly (readonly string[])[] | undefined

  constructor(options: ClusterOptions) {
    this.options = options
    const prng = createPrng(options.seed)
    this.#random = () => prng.next()
    this.#hub = createMemoryHub({ deliver: 'manual', pick: (count) => this.#int(count) })
    const { seed } = options
    this.#rules = options.steady
      ? {}
      : {
          conflicts: (d, on) =>
            d.round === 1 && (seed + Number(d.task.slice(1))) % 5 === 0 && on.length > 2 ? on.slice(-1) : [],
          fails: (command, on) => command === 'check' && on.length % 4 === 3 && this.#int(3) === 0,
        }
  }

  #int(n: number): number {
    return Math.floor(this.#random() * n)
  }

  #in(ms: number, run: Event['run']): void {
    this.#events.push({ at: this.now + ms, seq: this.#seq++, run })
  }

  async run(): Promise<this> {
    const count = this.options.nodes ?? 3
    for (let i = 0; i < count; i++) await this.#open(`node-${i}`)
    for (const member of this.members)
      this.#step(member, { type: 'members', live: this.members.map((m) => m.id) })
    this.#submit()
    this.#in(10, () => this.#deliver())
    this.#in(100, () => this.#watchMembers())
    if (this.options.faultsMs) this.#in(200, () => this.#fault())
    if (this.options.loses) this.#in(this.options.faultsMs ?? 0, () => this.#replace())
    if (this.options.loses) this.#in(500 + this.#int(2_500), () => this.#lose())
    while (this.now < END_MS) {
      const event = this.#events.pop()
      if (!event) break
      this.now = event.at
      await event.run()
      for (const member of this.members) this.#tick(member)
      if (this.now > (this.options.faultsMs ?? 0) && this.#isOver()) break
    }
    await this.#judge()
    return this
  }

  // ---- nodes

  async #open(id: string): Promise<void> {
    let member = this.members.find((m) => m.id === id)
    const lives = (member?.lives ?? 0) + 1
    const author = { node: id, incarnation: `01J${String(lives).padStart(23, '0')}` }
    const store = this.#hub.open(author)
    const state = new NodeState({
      author,
      slots: 2,
      capacity: { cpu: 4, memoryBytes: 1_000, gpu: 0, quota: {} },
      capabilities: [],
      seed: this.options.seed + lives,
      staggerMs: 100,
      settleMs: 200,
      pendingTasksMax: 1_000,
      stallMs: 0,
    })
    if (member)
      Object.assign(member, { lives, state, store, isUp: true, seenAt: new Map(), suspects: new Set() })
    else {
      member = {
        id,
        git: new FakeGit(this.#rules, this.#commits),
        objects: new Set([BASE]),
        isLost: false,
        believed: new Map(),
        lives,
        state,
        store,
        isUp: true,
        wakeAt: 0,
        processes: new Map(),
        seenAt: new Map(),
        suspects: new Set(),
      }
      this.members.push(member)
    }
    for await (const batch of store.facts()) step(state, { type: 'facts', batch }, this.now, this.now)
    const self = member
    store.watch((batch) => void this.#step(self, { type: 'facts', batch }))
    this.#step(self, { type: 'kind', kind: 'shell', inProcess: false, concurrency: 0 })
    this.#step(self, this.#recovered(self))
    const adopted = [...self.processes.values()].map((p) => ({ attempt: p.attempt, ageMs: 1 }))
    this.#step(self, { type: 'members', live: this.members.map((m) => m.id) })
    this.#step(self, { type: 'started', adopted, record: { name: id, slots: 2, version: '0' } })
    for (const p of self.processes.values())
      this.#in(Math.max(p.endsAt - this.now, 1), () => this.#ended(self, p))
  }

  /** What a node finds on its own ref of the term that it believes in. */
  #recovered({ state, git }: Member): Input {
    const term = state.board.runs.get(RUN)?.term ?? 1
    return { type: 'recovered', run: RUN, commits: git.trailers(RUN, term), term }
  }

  #step(member: Member, input: Input): Reply {
    const { state, store } = member
    const out = step(state, input, this.now, this.now)
    this.#judgeAccepts(member)
    if (out.facts.length === 0 && out.effects.length === 0) return out.reply
    this.trace.push(
      `${this.now} ${member.id} ${input.type} ${out.facts.map((f) => `${f.collection}:${f.key}`).join()} ${out.effects.map((e) => e.type).join()}`,
    )
    for (const effect of out.effects) {
      const slot = effect.type === 'start' ? effect.request.slot : undefined
      if (slot && state.board.task(slot.run, slot.task)?.provisional)
        this.#problem(`${member.id} starts ${slot.task}, which has a success`)
    }
    const write = (): void => {
      if (out.facts.length === 0) return
      const { written } = store.put(out.facts, this.now)
      if (written.length !== out.facts.length)
        this.#problem(
          `${member.id} wrote a key twice: ${JSON.stringify(out.facts.filter((f) => !written.includes(f)))}`,
        )
    }
    const perform = (): void => {
      for (const effect of out.effects) this.#perform(member, effect)
    }
    const alive = (run: () => void) => () => {
      if (member.state === state && member.isUp) run()
    }
    if (this.options.planted === 'effects-before-disk') {
      perform()
      this.#unwritten++
      this.#in(this.#int(60), () => {
        this.#unwritten--
        alive(write)()
      })
      return out.reply
    }
    write()
    // A crash may come between the disk and the effect.
    if (out.effects.length > 0) this.#in(this.options.faultsMs ? this.#int(3) : 0, alive(perform))
    return out.reply
  }

  #perform(member: Member, effect: Effect): void {
    switch (effect.type) {
      case 'start': {
        const { id, base } = effect.request
        for (const delta of base?.deltas ?? []) this.#judgeBase(member, delta.by, delta.head)
        const missing = [
          { commit: base?.tip, sources: base?.sources },
          ...(base?.deltas ?? []).map((d) => ({ commit: d.head, sources: d.sources })),
        ].filter(({ commit, sources }) => commit !== undefined && !this.#get(member, commit, sources))
        if (missing.length > 0) {
          const { state } = member
          const input = { type: 'base-missing', attempt: id, reason: 'nobody has it' } as const
          this.#in(1 + this.#int(30), () => {
            if (member.state !== state || !member.isUp) return
            this.#step(member, input)
            this.#step(member, { type: 'attempt-ended', attempt: id, result: { outcome: 'cancelled' } })
          })
          return
        }
        this.starts++
        this.#ran.push({ node: member.id, attempt: id })
        const process: Process = { attempt: id, endsAt: this.now + this.#span(), result: this.#outcome(id) }
        member.processes.set(id, process)
        this.#in(process.endsAt - this.now, () => this.#ended(member, process))
        return
      }
      case 'stop': {
        const process = member.processes.get(effect.attempt)
        if (!process) return
        process.result = { outcome: 'cancelled' }
        process.endsAt = this.now + 20 + this.#int(200)
        this.#in(process.endsAt - this.now, () => this.#ended(member, process))
        return
      }
      case 'fetch': {
        const { state } = member
        const { slot, by, head, sources } = effect
        this.fetches++
        this.#in(5 + this.#int(this.options.faultsMs ? 500 : 50), () => {
          if (member.state !== state || !member.isUp) return
          const breaks = this.options.faultsMs !== undefined && this.#int(6) === 0
          const isPlanted = this.options.planted === 'ack-before-objects'
          const ok = isPlanted || (!breaks && this.#get(member, head, sources))
          this.#step(member, { type: 'fetched', slot, by, answer: ok ? 'ok' : 'failed' })
        })
        return
      }
      case 'fold':
        for (const delta of effect.request.deltas)
          if (!member.objects.has(delta.head))
            this.#problem(`${member.id} folds ${delta.task}, whose objects it has not`)
        if (!this.#get(member, effect.request.tip, effect.sources)) {
          const { state } = member
          const problem = { code: 'ORCH_GIT_FAILED', message: 'the tip is missing' } as const
          this.#in(1 + this.#int(30), () => {
            if (member.state === state && member.isUp)
              this.#step(member, { type: 'job-failed', run: RUN, job: effect.job, problem })
          })
          return
        }
        break
      case 'advance':
        if (this.options.planted === 'accept-before-ref') {
          const { state } = member
          this.#step(member, {
            type: 'advanced',
            run: effect.run,
            job: effect.job,
            ok: member.git.tip(effect.run) === effect.old,
          })
          this.#in(40, () => void (member.state === state && member.isUp && member.git.answer(effect)))
          return
        }
        break
      case 'alarm':
      case 'hint':
      case 'archive':
        return
      default:
    }
    const { state } = member
    const answer = member.git.answer(effect)!
    if (answer.type === 'folded') for (const { commit } of answer.outcome.chain) member.objects.add(commit)
    this.#in(1 + this.#int(30), () => {
      if (member.state !== state || !member.isUp) return
      if (answer.type === 'advanced' && !answer.ok) this.#step(member, this.#recovered(member))
      this.#step(member, answer)
    })
  }

  #span(): number {
    return 50 + this.#int(this.#int(6) === 0 ? 6_000 : 800)
  }

  #outcome(id: AttemptId): Partial<Result> {
    if (!this.options.steady && this.#int(8) === 0) return { outcome: 'failed', reason: 'exit 1' }
    return this.#int(4) === 0 ? {} : { base: BASE, head: sha256Hex(id).slice(0, 40) }
  }

  /** Objects are had from a disk that can be reached. */
  #get(member: Member, commit: string, sources: readonly string[] | undefined): boolean {
    if (member.objects.has(commit)) return true
    const from = this.members.find(
      (m) => m.isUp && sources?.includes(m.id) && this.#isLinked(member.id, m.id) && m.objects.has(commit),
    )
    // What was integrated is made again from what went into it, wherever that is.
    const made = this.#commits.get(commit)
    const anybody = this.members.map((m) => m.id)
    const isMade =
      made?.delta !== undefined &&
      this.#get(member, made.parent!, anybody) &&
      this.#get(member, made.delta.head, anybody)
    if (from || isMade) member.objects.add(commit)
    return from !== undefined || isMade
  }

  #ended(member: Member, process: Process): void {
    if (this.now < process.endsAt || !member.processes.has(process.attempt) || !member.isUp) return
    member.processes.delete(process.attempt)
    if (process.result.head) member.objects.add(process.result.head)
    this.#step(member, {
      type: 'attempt-ended',
      attempt: process.attempt,
      result: { outcome: 'done', ...process.result },
    })
  }

  #tick(member: Member): void {
    for (
      let at = member.state.wakeAt();
      member.isUp && at !== undefined && at <= this.now;
      at = member.state.wakeAt()
    )
      this.#step(member, { type: 'tick' })
    const at = member.state.wakeAt()
    if (!member.isUp || at === undefined || (at >= member.wakeAt && member.wakeAt > this.now)) return
    member.wakeAt = at
    this.#in(at - this.now, () => {})
  }

  // ---- the world

  #submit(): void {
    const tasks: (readonly [string, TaskSpec])[] = []
    for (let i = 0; i < (this.options.tasks ?? 10); i++) {
      const needs = Array.from({ length: this.#int(3) }, () => `t${this.#int(Math.max(i, 1))}`).filter(
        (n, k, all) => n !== `t${i}` && all.indexOf(n) === k,
      )
      tasks.push([
        `t${i}`,
        {
          kind: 'shell',
          order: i,
          retry: { strategy: 'reassign', attempts: 20, delayMs: 0 },
          scope: { write: [`f${i}`], read: [] },
          ...(needs.length > 0 ? { needs } : {}),
          ...(i % 3 === 0 ? { check: 'check' } : {}),
        },
      ])
    }
    const header: RunHeader = {
      name: RUN,
      creator: 'node-0',
      createdAt: 1,
      integrator: 'node-0',
      base: BASE,
      repository: { id: 'repo', path: '/repo', base: BASE },
      merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
    }
    const input = { type: 'submit', run: RUN, header, tasks, seal: true } as const
    this.#in(100, () => void this.#step(this.members[0]!, input))
  }

  #deliver(): void {
    const faulty = this.now < (this.options.faultsMs ?? 0)
    this.#hub.deliver(faulty ? 1 + this.#int(12) : undefined)
    this.#in(faulty ? 5 + this.#int(120) : 5, () => this.#deliver())
  }

  #isLinked(a: string, b: string): boolean {
    return this.#groups === undefined || this.#groups.some((g) => g.includes(a) && g.includes(b))
  }

  /** What heartbeats do: who was not seen for a while is dead, who is seen again lives. */
  #watchMembers(): void {
    for (const member of this.members) {
      if (!member.isUp) continue
      for (const other of this.members) {
        if (other === member) continue
        const seen = other.isUp && this.#isLinked(member.id, other.id)
        if (seen || !member.seenAt.has(other.id)) member.seenAt.set(other.id, this.now)
        if (seen && member.suspects.delete(other.id)) {
          this.#step(member, {
            type: 'members',
            live: this.members.map((m) => m.id).filter((id) => !member.suspects.has(id)),
          })
        }
        if (!seen && !member.suspects.has(other.id) && this.now - member.seenAt.get(other.id)! > SUSPECT_MS) {
          member.suspects.add(other.id)
          this.#step(member, { type: 'dead', node: other.id })
        }
      }
    }
    this.#in(250, () => this.#watchMembers())
  }

  #fault(): void {
    const faultsMs = this.options.faultsMs!
    if (this.now >= faultsMs) {
      this.#groups = undefined
      this.#hub.heal()
      return
    }
    const kind = this.#int(this.options.adopts || this.options.drains ? 6 : 4)
    if (kind === 0) {
      const side = this.members.filter(() => this.#int(2) === 0).map((m) => m.id)
      this.#groups = [side, this.members.map((m) => m.id).filter((id) => !side.includes(id))]
      this.#hub.partition(this.#groups)
    } else if (kind === 1) {
      this.#groups = undefined
      this.#hub.heal()
    } else if (kind === 2) {
      const member = this.members[this.#int(this.members.length)]!
      if (member.isUp) this.#crash(member)
    } else if (kind === 4 && this.options.adopts) {
      const member = this.members[this.#int(this.members.length)]!
      const order = { verb: 'adopt', term: 0, cutoff: Number.MAX_SAFE_INTEGER } as const
      if (member.isUp && this.#step(member, { type: 'order', run: RUN, subject: '*', order }).ok)
        this.adoptions++
    } else if (kind === 5 && this.options.drains) {
      this.#drain(this.members[this.#int(this.members.length)]!)
    } else {
      // False suspicion: somebody is slow to hear of somebody.
      const [a, b] = [
        this.members[this.#int(this.members.length)]!,
        this.members[this.#int(this.members.length)]!,
      ]
      if (a !== b && a.isUp && !a.suspects.has(b.id)) {
        a.suspects.add(b.id)
        this.#step(a, { type: 'dead', node: b.id })
      }
    }
    this.#in(100 + this.#int(1_200), () => this.#fault())
  }

  #drain(member: Member): void {
    const { state } = member
    if (!member.isUp || state.draining) return
    this.#step(
      member,
      this.#int(2) === 0 ? { type: 'drain' } : { type: 'drain', deadlineMs: this.#int(1_500) },
    )
    this.#in(500 + this.#int(4_000), () => {
      if (member.state === state && member.isUp) this.#step(member, { type: 'undrain' })
    })
  }

  /** Not the integrator's: its history would have to be made again from what others hold. */
  #lose(): void {
    const member = this.members.slice(1).findLast((m) => m.isUp)
    if (!member) return void this.#in(100, () => this.#lose())
    member.isUp = false
    member.isLost = true
    void member.store.close()
    member.processes.clear()
    this.trace.push(`${this.now} ${member.id} lost`)
  }

  /** A person sees that the integrator does not come back, and gives up what went with its disk. */
  #replace(): void {
    const member = this.members[0]!
    const run = member.state.board.runs.get(RUN)
    const everybody = this.members.map((m) => m.id)
    const gone = [...(run?.positions ?? [])]
      .sort(([a], [b]) => a - b)
      .find(([, t]) => t.accepted!.commit && !this.#get(member, t.accepted!.commit, everybody))
    const isLost = this.members.some((m) => m.isLost && m.id === run?.integrator)
    if (member.isUp && run?.finished === false && (isLost || gone)) {
      const order = { verb: 'adopt', term: 0, cutoff: gone ? gone[0] - 1 : Number.MAX_SAFE_INTEGER } as const
      this.#step(member, { type: 'order', run: RUN, subject: '*', order })
    }
    this.#in(1_000, () => this.#replace())
  }

  #crash(member: Member): void {
    member.isUp = false
    void member.store.close()
    this.trace.push(`${this.now} ${member.id} crash`)
    // Some processes die with their node, without a word.
    for (const id of [...member.processes.keys()]) if (this.#int(2) === 0) member.processes.delete(id)
    this.#in(50 + this.#int(4_000), async () => {
      if (!member.isLost) await this.#open(member.id)
    })
  }

  get #left(): Member[] {
    return this.members.filter((m) => !m.isLost)
  }

  #isOver(): boolean {
    if (
      this.#groups !== undefined ||
      this.#unwritten > 0 ||
      this.#left.some(
        (m) => !m.isUp || m.processes.size > 0 || m.state.attempts.size > 0 || m.state.bids.size > 0,
      )
    )
      return false
    const keys = this.#left.map((m) => m.state.board.runs.get(RUN))
    return keys.every((run) => run?.finished === true) && this.#hub.deliver() === 0
  }

  // ---- oracles

  #problem(text: string): void {
    this.problems.push(`seed ${this.options.seed} at ${this.now}: ${text}`)
  }

  async #judge(): Promise<void> {
    if (!this.#isOver()) {
      const open = this.#left.map(
        (m) =>
          `${m.id} ${m.state.board.runs.get(RUN)?.status} ${[...(m.state.board.runs.get(RUN)?.tasks.values() ?? [])].filter((t) => t.status !== 'accepted').map((t) => `${t.id}:${t.status}:${t.holder?.node}`)}`,
      )
      this.#problem(`not over: ${open.join(' | ')}`)
      return
    }
    const dumps: string[] = []
    for (const member of this.#left) {
      const { board } = member.state
      for (const v of violations(board))
        this.#problem(`${member.id}: ${v.invariant} ${v.subject} ${v.message}`)
      dumps.push(JSON.stringify(dump(board)))
      const batches = []
      for await (const batch of member.store.facts()) batches.push(batch)
      if (JSON.stringify(dump(boardOf(batches))) !== dumps.at(-1))
        this.#problem(`${member.id} believes what its store does not say`)
    }
    for (const other of dumps)
      if (other !== dumps[0]) this.#problem(`boards differ: ${difference(dumps[0]!, other)}`)
    const run = this.members[0]!.state.board.runs.get(RUN)!
    for (const task of run.tasks.values()) {
      if (task.status !== 'accepted') this.#problem(`${task.id} is ${task.status}: ${task.reason}`)
      const standing = task.accepts.filter((a) => isStanding(run, a))
      if (new Set(standing.map((a) => `${a.round} ${a.position}`)).size !== 1)
        this.#problem(`${task.id} was accepted ${task.accepts.length} times`)
    }
    const commits = [...run.positions].sort(([a], [b]) => a - b).flatMap(([, t]) => t.accepted!.commit ?? [])
    const integrator = this.members.find((m) => m.id === run.integrator)!
    // The ref of a term begins where the one before was cut, with its first move.
    const { git } = integrator
    if (!git.refs.has(`${RUN} ${run.term}`)) git.refs.set(`${RUN} ${run.term}`, run.tip()!)
    const onRef = git.trailers(RUN, run.term).map((c) => c.commit)
    if (commits.join() !== onRef.join())
      this.#problem(`accepted ${commits.length} commits, the ref holds ${onRef.length} others`)
    this.#judgeStarts()
  }

  /** An accept never changes, unless somebody took the run over without it (I10). */
  #judgeAccepts(member: Member): void {
    const run = member.state.board.runs.get(RUN)
    if (!run) return
    for (const [id, believed] of member.believed) {
      const { accepted } = run.tasks.get(id)!
      if (accepted && `${accepted.position} ${accepted.commit}` === believed) continue
      const position = Number(believed.split(' ')[0])
      if (!run.adopts.some((a) => a.cutoff < position))
        this.#problem(`${member.id}: the accept of ${id} changed: ${believed}`)
      member.believed.delete(id)
      this.undone++
    }
    for (const task of run.positions.values()) {
      const { accepted } = task
      if (accepted) member.believed.set(task.id, `${accepted.position} ${accepted.commit}`)
    }
  }

  /** Work that others build on is on more than one disk, or where the run is integrated. */
  #judgeBase(member: Member, by: string, head: string): void {
    const run = member.state.board.runs.get(RUN)!
    if (run.integrators.has(by) || this.members.filter((m) => m.objects.has(head)).length > 1) return
    this.#problem(`${member.id} builds on work that only ${by} has`)
  }

  /** Every attempt that ran has its start on the board: nothing ran that a crash could forget. */
  #judgeStarts(): void {
    const run = this.members[0]!.state.board.runs.get(RUN)!
    const lost = this.members.find((m) => m.isLost)?.id
    for (const id of this.#ran) {
      if (id.node === lost) continue
      const slot = readAttemptId(id.attempt)!
      const entry = run.tasks
        .get(slot.task)
        ?.entries.find((e) => e.node === id.node && e.round === slot.round && e.epoch === slot.epoch)
      if (!entry?.start) this.#problem(`${id.attempt} ran on ${id.node} without a start on the board (I6)`)
    }
  }
}

function difference(a: string, b: string): string {
  let at = 0
  while (a[at] === b[at]) at++
  return `${a.slice(Math.max(at - 300, 0), at + 60)} <> ${b.slice(at, at + 60)}`
}
