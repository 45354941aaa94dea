/**
 * The cluster that a node belongs to: its network, which lasts as long as the process, and what connects one life of the node after the other to it: replication, liveness,
 * the connections to all members, and the protocols that members speak with each other.
 */
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import type { Cutoff } from '../core/fact.ts'
import { type Author, CLUSTER_DOC, type DocId, type Incarnation, type NodeId, shortNode } from '../core/id.ts'
import { FIRST_SYNC_MS_MAX } from '../core/limit.ts'
import type { Git } from '../git/git.ts'
import { type CallMethod, serveCalls } from '../net/call-serve.ts'
import { Conduct } from '../net/conduct.ts'
import { openGitStream } from '../net/git.ts'
import { createGossip, type Gossip } from '../net/gossip.ts'
import { type Identity, verifySignature } from '../net/identity.ts'
import { type Joins, serveJoins } from '../net/join.ts'
import type { Net, Standing } from '../net/net.ts'
import { createRedial, type Redial } from '../net/redial.ts'
import { createSync, type Sync } from '../net/sync.ts'
import type { ReplicaReport } from '../store/chain.ts'
import { type CrdtStore, openCrdtStore } from '../store/crdt.ts'
import type { DocView } from '../store/doc-view.ts'
import { BOARD_DIRECTORY, openLevelDisk } from '../store/level-disk.ts'
import type { DataDirLock } from '../store/lock.ts'
import type { CoordStore } from '../store/store.ts'
import { admissionOf } from './admission.ts'
import { archiveRun } from './archive-run.ts'
import type { Clock } from './clock.ts'
import { CLONED, isOfTwin } from './clone-watch.ts'
import type { ClusterFile } from './cluster-file.ts'
import type { Engine } from './engine.ts'
import type { ClusterStatus } from './face.ts'
import { Liveness } from './liveness.ts'
import { Objects } from './objects.ts'
import { serveObjects } from './objects-serve.ts'
import { PeerNews } from './peer-news.ts'
import { accepted } from './submit.ts'
import { Witness } from './witness.ts'

export interface ClusterOptions {
  readonly dataDir: string
  readonly identity: Identity
  readonly file: ClusterFile
  readonly net: Net
  /** Of the data directory; held by the node. */
  readonly lock: DataDirLock
  readonly git: Git
  readonly clock: Clock
  /** What other members may ask of this node. */
  readonly calls: Readonly<Record<string, CallMethod>>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
}

/** What connects one life of the node with the network. */
interface Bond {
  readonly engine: Engine
  readonly sync: Sync
  readonly gossip: Gossip
  readonly redial: Redial
  readonly liveness: Liveness
  readonly witness: Witness
  readonly undo: readonly (() => void)[]
}

const REMOVED =
  'this node was removed from the cluster: it does nothing for it and hears nothing of it; after `orch-node leave` it can join again'

export class Cluster {
  readonly file: ClusterFile
  readonly net: Net
  readonly objects: Objects
  readonly joins: Joins
  readonly #options: ClusterOptions
  readonly #alarms = new Set<string>()
  /** Words of the machines that were told to ask. */
  #asking: ReadonlySet<string> = new Set()
  readonly #news: PeerNews
  readonly #undo: (() => void)[]
  #store: CrdtStore | undefined
  #engine: Engine | undefined
  #bond: Bond | undefined

  constructor(options: ClusterOptions) {
    const { net, git, say } = options
    this.#options = options
    this.file = options.file
    this.net = net
    this.objects = new Objects({
      git,
      open: (node, repository, signal) => openGitStream(net, node, repository, { signal }),
      say,
    })
    net.admit((node) => this.#standingOf(node))
    this.joins = serveJoins({
      net,
      admission: admissionOf(this, () => this.#running()),
      now: () => Date.now(),
      onRequests: () => this.#tellRequests(),
    })
    this.#news = new PeerNews({ net, nameOf: (node) => this.nameOf(node), say })
    this.#undo = [
      serveObjects({ net, git, say }),
      serveCalls(net, options.calls),
      () => this.joins.close(),
      () => this.#news.close(),
    ]
    for (const { node, addresses } of options.file.seeds) net.learn(node, addresses)
  }

  get id(): string {
    return this.file.cluster
  }

  get say(): ClusterOptions['say'] {
    return this.#options.say
  }

  nameOf(node: NodeId): string {
    const name = this.#engine?.state.roster?.member(node)?.name
    return name === undefined ? shortNode(node) : `${name} (${shortNode(node)})`
  }

  stateOf(node: NodeId): 'live' | 'silent' | 'dead' | 'never' {
    return this.#bond?.liveness.stateOf(node) ?? 'never'
  }

  status(engine: Engine): ClusterStatus {
    const { roster, me } = engine.state
    const role = roster?.role(me) ?? 'none'
    return {
      id: this.id,
      name: this.file.name,
      role: role === 'none' ? 'observer' : role,
      addresses: this.net.addresses(),
      members: roster?.members().filter((m) => m.role !== 'none').length ?? 1,
      live: this.#bond?.liveness.live.length ?? 1,
      alarms: [...this.#alarms, ...(this.#isRemoved(engine) ? [REMOVED] : this.#news.denials())],
    }
  }

  /** The store of a life that begins. */
  async openStore(author: Author, onReport: (message: string) => void): Promise<CoordStore> {
    const { identity, dataDir } = this.#options
    this.#store = await openCrdtStore({
      disk: await openLevelDisk({ dataDir, cluster: this.id, lock: this.#options.lock }),
      author,
      signer: identity,
      verify: verifySignature,
      cluster: this.id,
      isWanted: (doc) => doc === CLUSTER_DOC || !(this.#engine?.state.board.isArchived(doc) ?? false),
      onReport: (report) => onReport(this.#describe(report)),
    })
    return this.#store
  }

  /**
   * Connects a life, once its board is read. Resolves when it is up to date with one member, or nobody answered in time: before that it writes nothing but the founding.
   */
  async attach(engine: Engine): Promise<void> {
    const { net, identity, clock, say } = this.#options
    const store = this.#store!
    const { replica } = store
    this.#engine = engine
    const beganAt = Date.now()
    const conduct = new Conduct({ net })
    const sync = createSync({
      net,
      replica,
      conduct,
      onFault: (node, error) => this.#news.syncFailed(node, error, sync.syncedWith(node)),
    })
    const post = engine.loop.offer.bind(engine.loop)
    const { state } = engine
    const liveness = new Liveness({ net, identity, cluster: this.id, clock, state, replica, sync, post, say })
    const isHeardByAll = (node: NodeId): boolean => liveness.isHeardByAll(node)
    const gossip = createGossip({ net, replica, sync, conduct, isHeardByAll })
    const redial = createRedial({
      net,
      members: () => this.#others(engine),
      onRefused: (node) => liveness.refused(node),
      onFault: (node, error) => this.#news.dialFailed(node, error),
    })
    const witness = new Witness({
      git: this.#options.git,
      objects: this.objects,
      state,
      say,
      onMismatch: (message) => {
        this.#alarms.add(message)
        say('error', message)
      },
    })
    const bond: Bond = {
      engine,
      witness,
      sync,
      gossip,
      redial,
      liveness,
      undo: [
        store.watch((batch) => {
          liveness.frame(batch.author.node, batch.author.incarnation)
          if (isOfTwin(batch, store.author, beganAt)) this.#tellCloned()
          for (const { doc, collection } of batch.facts)
            if (collection === 'accepts' || collection === 'orders') witness.look(doc)
          if (batch.facts.some((fact) => fact.doc === CLUSTER_DOC)) this.#soonReview(engine)
        }),
        replica.onCut((chain) => engine.options.onRebuild(`${this.nameOf(chain.node)} signed two stories`)),
      ],
    }
    this.#bond = bond
    for (const { node, addresses } of this.file.seeds) redial.learn(node, addresses)
    this.review()
    if (this.file.founder === identity.node && (engine.state.roster?.members().length ?? 0) === 0)
      this.#found(engine)
    const isAlone = (engine.state.roster?.members().filter((m) => m.role !== 'none').length ?? 0) <= 1
    if (isAlone && this.file.seeds.length === 0) return
    const first = await sync.firstSync(FIRST_SYNC_MS_MAX)
    if (this.#isRemoved(engine)) say('warn', REMOVED)
    else if (first.type === 'synced') say('info', `up to date with ${this.nameOf(first.with)}`)
    else
      say(
        'warn',
        `no member answered within ${FIRST_SYNC_MS_MAX / 1_000} s: this node goes on alone until one does`,
      )
    this.review()
  }

  #isRemoved({ state }: Engine): boolean {
    return state.roster?.member(state.me)?.role === 'none'
  }

  /** This life is over; the network stays for the next. */
  async detach(): Promise<void> {
    const bond = this.#bond
    if (!bond) return
    this.#bond = undefined
    for (const undo of bond.undo) undo()
    bond.liveness.stop()
    await bond.witness.close()
    bond.gossip.close()
    bond.redial.close()
    await bond.sync.close()
  }

  /** Says to all that this node goes: what it held can start elsewhere at once, or is taken up by its next life. */
  async leaving(why: 'stop' | 'upgrade'): Promise<void> {
    await this.#bond?.liveness.leave(why)
  }

  /** A document of the board for who speaks Yjs. */
  view(doc: DocId): Promise<DocView> {
    return this.#store!.view(doc)
  }

  /** Keeps a run that is over in one file, and frees what its board takes. */
  archive(doc: DocId): void {
    const { dataDir, say } = this.#options
    const store = this.#store
    if (!store) return
    archiveRun(store, dataDir, doc).then(
      (path) => say('info', `run ${doc} is archived: ${path}`),
      (error: unknown) => say('warn', `archive of ${doc}: ${String(error)}`),
    )
  }

  /** How many frames this life has written to each document. */
  written(): Cutoff {
    const { node, incarnation } = this.#store!.author
    const cutoff: Record<DocId, Record<Incarnation, number>> = {}
    for (const { doc } of this.#store!.replica.docs()) {
      const own = this.#store!.replica.heads(doc).find(
        (h) => h.node === node && h.incarnation === incarnation,
      )
      if (own) cutoff[doc] = { [incarnation]: own.commit }
    }
    return cutoff
  }

  /** Resolves when some other member has what this node has, or the span is over: false. */
  async handedOn(timeoutMs: number): Promise<boolean> {
    const digest = (): string | undefined => this.#store?.replica.digest()
    const until = performance.now() + timeoutMs
    const mine = digest()
    for (const node of this.net.peers()) {
      while (performance.now() < until) {
        this.#bond?.sync.pull(node)
        await new Promise((resume) => setTimeout(resume, 100))
        if (mine === digest()) return true
      }
    }
    return false
  }

  async close(): Promise<void> {
    await this.detach()
    for (const undo of this.#undo) undo()
    await this.objects.close()
    await this.net.close()
  }

  get boardDir(): string {
    return join(this.#options.dataDir, BOARD_DIRECTORY)
  }

  #standingOf(node: NodeId): Standing {
    const roster = this.#engine?.state.roster
    const member = roster?.member(node)
    if (member) return member.role === 'none' ? 'denied' : 'member'
    // Before the first sync nobody is known but who let this node in.
    const isSeed = this.file.seeds.some((seed) => seed.node === node) || node === this.file.founder
    if (isSeed && (roster?.members().length ?? 0) === 0) return 'member'
    return 'stranger'
  }

  #running(): Engine {
    if (this.#engine) return this.#engine
    throw new OrchError('ORCH_NODE_TIMEOUT', 'this node is starting', { hint: 'try again in a moment' })
  }

  #found(engine: Engine): void {
    const { name, nonce } = this.file
    const { reply } = engine.loop.post({
      type: 'member',
      subject: engine.state.me,
      fact: { verb: 'found', name, nonce },
    })
    accepted(reply)
  }

  /** When the loop has taken what just came. */
  #soonReview(engine: Engine): void {
    void engine.loop.flushed().then(
      () => this.review(),
      () => undefined,
    )
  }

  /** Who belongs here and where they are may be different now. */
  review(): void {
    const bond = this.#bond
    if (!bond) return
    const { state } = bond.engine
    for (const node of this.#others(bond.engine)) {
      const addresses = state.board.nodes.get(node)?.value.addresses
      if (!addresses) continue
      this.net.learn(node, addresses)
      bond.redial.learn(node, addresses)
    }
    this.net.reviewStandings()
    bond.liveness.reviewMembers()
    bond.redial.review()
  }

  /** The other members; before the first sync of a new one whoever let it in. */
  #others(engine: Engine): NodeId[] {
    const { roster, me } = engine.state
    const known = (roster?.members() ?? []).filter((m) => m.role !== 'none').map((m) => m.node)
    const nodes = known.length > 0 ? known : this.file.seeds.map((seed) => seed.node)
    return nodes.filter((node) => node !== me)
  }

  /** Each once: what is told is everybody who waits, whenever one comes or goes. */
  #tellRequests(): void {
    const asking = this.joins.requests()
    for (const { name, words } of asking)
      if (!this.#asking.has(words))
        this.#options.say(
          'warn',
          `${name} asks to be let in: ${words}; compare the words, then \`orch-node members approve ${name}\``,
        )
    this.#asking = new Set(asking.map(({ words }) => words))
  }

  #tellCloned(): void {
    if (!this.#alarms.has(CLONED)) this.#options.say('warn', CLONED)
    this.#alarms.add(CLONED)
  }

  #describe(report: ReplicaReport): string {
    const author = `${this.nameOf(report.chain.node)}, ${report.chain.doc}`
    switch (report.kind) {
      case 'damaged':
        return report.own
          ? `the board was damaged on this disk: own frames from ${report.from} on (${author}) are left out; other members that have them give them back`
          : `the board was damaged on this disk: frames from ${report.from} on of ${author} come anew from other members`
      case 'equivocation': {
        const message = `${author} signed two stories: from frame ${report.from} on nothing of it counts`
        this.#alarms.add(message)
        return message
      }
      case 'cloned':
        this.#alarms.add(CLONED)
        return CLONED
    }
  }
}
