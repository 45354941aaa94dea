/**
 * How this node comes to a cluster, and how others come to it: founding, inviting, joining, leaving. Who may do what is the core's to say; here is what takes keys, tokens
 * and connections.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { isOrchError, OrchError } from '../core/error.ts'
import type { MemberFact } from '../core/fact.ts'
import { type NodeId, shortNode } from '../core/id.ts'
import { CALL_MS_DEFAULT, INVITE_MS_DEFAULT } from '../core/limit.ts'
import { INVITE_SUBJECT } from '../core/roster-fact.ts'
import { clusterId } from '../core/roster-read.ts'
import type { Json } from '../core/task.ts'
import { callPeer } from '../net/call.ts'
import type { CallMethod } from '../net/call-serve.ts'
import type { Identity } from '../net/identity.ts'
import { createInvite, readInvite } from '../net/invite.ts'
import type { DataDirLock } from '../store/lock.ts'
import { VERSION } from '../version.ts'
import type { Edges } from './assemble.ts'
import { bindSignal, Channel } from './channel.ts'
import type { Clock } from './clock.ts'
import type { Cluster } from './cluster.ts'
import { type ClusterFile, setClusterAside, writeClusterFile } from './cluster-file.ts'
import type { Engine } from './engine.ts'
import type { JoinUpdate, MembersAnswer, NodeFace } from './face.ts'
import { memberItems } from './member-view.ts'
import { whoIsMeant } from './name-match.ts'
import type { NodeConfig } from './node-config.ts'
import { accepted } from './submit.ts'

export interface MembershipHost {
  readonly config: NodeConfig
  readonly dataDir: string
  readonly clock: Clock
  lock(): DataDirLock
  identity(): Identity
  engine(): Engine
  cluster(): Cluster | undefined
  /** What other members may ask of this node. */
  calls(): Readonly<Record<string, CallMethod>>
  /** Ends this life of the node, changes what its board is, and begins the next. */
  enter(change: (edges: Edges) => Promise<Cluster>): Promise<void>
  /** Drains and ends the node; resolves when it is closed. */
  end(): Promise<void>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
}

const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/7946']
/** A person may take his time at the other screen. */
const JOIN_UPDATES_MAX = 1_000
/** Before the node goes others hear that it left. */
const FAREWELL_MS_MAX = 5_000

export class Membership {
  readonly #host: MembershipHost

  constructor(host: MembershipHost) {
    this.#host = host
  }

  /** A new cluster with this node as its only member. */
  found(): ClusterFile {
    const { dataDir } = this.#host
    const founder = this.#host.identity().node
    const nonce = randomBytes(16).toString('hex')
    const cluster = clusterId(founder, nonce)
    const file = { v: 1, cluster, name: this.#name, founder, nonce, since: Date.now(), seeds: [] } as const
    writeClusterFile(dataDir, file)
    return file
  }

  /** Opens the network and brings the journal of one machine onto the replicated board, if it is not there yet. */
  async open(file: ClusterFile, edges: Edges): Promise<Cluster> {
    const { dataDir, clock, config, say } = this.#host
    const identity = this.#host.identity()
    const [{ Cluster: Opened }, { openNet }, { importOwnJournal }] = await Promise.all([
      import('./cluster.ts'),
      import('./cluster-net.ts'),
      import('./journal-move.ts'),
    ])
    const moved = await importOwnJournal(dataDir, file.cluster, identity, this.#host.lock())
    if (moved) say('info', moved)
    const net = await openNet(config, {
      identity,
      listen: config.p2p?.listen ?? DEFAULT_LISTEN,
      cluster: file.cluster,
      name: this.#name,
    })
    return new Opened({
      dataDir,
      identity,
      file,
      net,
      git: edges.git,
      lock: this.#host.lock(),
      clock,
      calls: this.#host.calls(),
      say,
    })
  }

  /** Before the node begins: joins by the first way that works. Nothing happens to one that belongs to that cluster already. */
  async enterBy(
    ways: readonly string[],
    file: ClusterFile | undefined,
    tell: (update: JoinUpdate) => void,
  ): Promise<ClusterFile> {
    if (file) {
      for (const way of ways) assertSame(way, file)
      return file
    }
    let fault: unknown
    for (const way of ways) {
      try {
        return await this.#ask(way, tell)
      } catch (error) {
        fault ??= error
      }
    }
    throw fault
  }

  async invite(request: Parameters<NodeFace['invite']>[0]): ReturnType<NodeFace['invite']> {
    if (!this.#host.cluster())
      await this.#host.enter((edges) => {
        const file = this.found()
        this.#host.say('info', `cluster "${file.name}" founded`)
        return this.open(file, edges)
      })
    const cluster = this.#cluster()
    const { role = 'worker', ttlMs = INVITE_MS_DEFAULT, uses = 1, approve } = request
    const issuedAt = Date.now()
    const id = randomBytes(8).toString('hex')
    const { token, invite } = createInvite(
      this.#host.identity(),
      {
        cluster: cluster.id,
        clusterName: cluster.file.name,
        id,
        role,
        issuedAt,
        expiresAt: issuedAt + ttlMs,
        addresses: cluster.net.addresses(),
      },
      randomBytes(32),
    )
    const { key, expiresAt } = invite
    await this.#say(`${INVITE_SUBJECT}${id}`, {
      verb: 'invite',
      key,
      role,
      expiresAt,
      uses,
      ...(approve ? { approve: true as const } : {}),
    })
    return { token, id, expiresAt, role }
  }

  async *join(to: string, signal?: AbortSignal): AsyncGenerator<JoinUpdate> {
    const present = this.#host.cluster()
    if (present) {
      assertSame(to, present.file)
      await assertLeadsHere(to, present)
      yield {
        type: 'joined',
        cluster: present.id,
        name: present.file.name,
        role: present.status(this.#host.engine()).role,
      }
      return
    }
    const updates = new Channel<JoinUpdate>(JOIN_UPDATES_MAX, () => {})
    bindSignal(updates, signal)
    let fault: unknown
    const joining = this.#ask(to, (update) => updates.push(update), signal)
      .then(async (file) => {
        await this.#host.enter((edges) => this.open(file, edges))
      })
      .catch((error: unknown) => {
        fault = error
      })
      .finally(() => updates.close())
    let last: JoinUpdate | undefined
    for await (const update of updates) {
      // Told when the node is in, not when it may come in.
      if (update.type === 'joined') last = update
      else yield update
    }
    await joining
    if (fault !== undefined) throw fault
    if (last) yield last
  }

  async leave(): Promise<void> {
    const cluster = this.#cluster()
    const { dataDir, say } = this.#host
    const me = this.#host.identity().node
    await this.#host.engine().loop.flushed()
    // Who was removed has nothing to say any more.
    if (this.#host.engine().state.roster?.isMember(me)) {
      await this.#say(me, { verb: 'remove', since: cluster.written(), reason: 'it left' })
      if (!(await cluster.handedOn(FAREWELL_MS_MAX)))
        say('warn', 'no other member is connected: they learn later that this node left, from whoever knows')
    }
    setImmediate(() => {
      void this.#host.end().then(() => {
        const aside = setClusterAside(dataDir, cluster.boardDir, Date.now())
        say('info', `left the cluster "${cluster.file.name}"; its board is kept in ${aside}`)
      })
    })
  }

  list(): MembersAnswer {
    const cluster = this.#cluster()
    const engine = this.#host.engine()
    return {
      cluster: cluster.file.name,
      members: memberItems(engine, cluster),
      requests: cluster.joins
        .requests()
        .map(({ node, name, words, askedAt }) => ({ node, name, words, askedAt })),
      invites: (engine.state.roster?.invites() ?? []).map(
        ({ id, role, expiresAt, uses, used, issuer, revoked }) => ({
          id,
          role,
          expiresAt,
          uses,
          used,
          issuer,
          revoked,
        }),
      ),
    }
  }

  async approve(request: Parameters<NodeFace['approve']>[0]): ReturnType<NodeFace['approve']> {
    const { joins } = this.#cluster()
    const { who, role = 'worker' } = request
    const asking = joins.requests().map(({ node, name, words }) => ({ node, words, names: [name, words] }))
    const meant = whoIsMeant(asking, who)
    const found = meant.length > 0 ? meant : asking.filter(({ words }) => words.split(' ').includes(who))
    if (found.length === 0)
      throw new OrchError('ORCH_NOT_FOUND', `nobody called ${JSON.stringify(who)} waits at this node`, {
        hint: 'see who waits with `orch-node members`, on the node whose address they gave',
      })
    if (found.length > 1)
      throw new OrchError('ORCH_AMBIGUOUS', `${found.length} machines that wait fit ${JSON.stringify(who)}`, {
        hint: 'name the node id, or more of the words',
      })
    const { node } = found[0]!
    await joins.approve(node, role)
    return { node }
  }

  async remove(request: Parameters<NodeFace['removeMember']>[0]): ReturnType<NodeFace['removeMember']> {
    const node = this.#member(request.who)
    await this.#say(node, {
      verb: 'remove',
      since: {},
      ...(request.reason ? { reason: request.reason } : {}),
    })
    this.#cluster().review()
    return { node }
  }

  async setRole(request: Parameters<NodeFace['setRole']>[0]): ReturnType<NodeFace['setRole']> {
    const node = this.#member(request.who)
    await this.#say(node, { verb: 'role', role: request.role, since: {} })
    return { node }
  }

  async revoke(id: string): Promise<void> {
    await this.#say(`${INVITE_SUBJECT}${id}`, { verb: 'revoke' })
  }

  /** The node that is named, when it is not this one. */
  other(who: string | undefined): NodeId | undefined {
    if (who === undefined) return undefined
    if (!this.#host.cluster()) {
      const me = { node: this.#host.identity().node, names: [this.#name] }
      if (whoIsMeant([me], who).length > 0) return undefined
      throw notMember()
    }
    const node = this.#member(who)
    return node === this.#host.identity().node ? undefined : node
  }

  async ask(node: NodeId, method: string, params: Json, timeoutMs = CALL_MS_DEFAULT): Promise<void> {
    await callPeer(this.#cluster().net, node, method, params, { timeoutMs })
  }

  get #name(): string {
    return this.#host.config.name ?? hostname()
  }

  #cluster(): Cluster {
    const cluster = this.#host.cluster()
    if (!cluster) throw notMember()
    return cluster
  }

  /** By name, node id or the end of one. */
  #member(who: string): NodeId {
    const { state } = this.#host.engine()
    const members = (state.roster?.members() ?? []).filter((m) => m.role !== 'none')
    const named = members.map(({ node, name }) => ({
      node,
      names: [name, state.board.nodes.get(node)?.value.name ?? name],
    }))
    const fits = whoIsMeant(named, who)
    if (fits.length === 0)
      throw new OrchError('ORCH_NOT_FOUND', `there is no member called ${JSON.stringify(who)}`, {
        hint: 'see them with `orch-node members`',
      })
    if (fits.length > 1)
      throw new OrchError('ORCH_AMBIGUOUS', `${fits.length} members are called ${JSON.stringify(who)}`, {
        hint: `name one by its id: ${fits.map(({ node }) => shortNode(node)).join(', ')}`,
      })
    return fits[0]!.node
  }

  async #say(subject: string, fact: MemberFact): Promise<void> {
    const { reply, durable } = this.#host.engine().loop.post({ type: 'member', subject, fact })
    accepted(reply)
    await durable
  }

  /** Asks to be let in, by a network of its own that listens to nobody, and remembers who let it in. */
  async #ask(to: string, tell: (update: JoinUpdate) => void, signal?: AbortSignal): Promise<ClusterFile> {
    const { dataDir, config } = this.#host
    const identity = this.#host.identity()
    const [{ joinCluster }, { openNet }] = await Promise.all([
      import('../net/join-ask.ts'),
      import('./cluster-net.ts'),
    ])
    const net = await openNet(config, { identity, listen: [], name: this.#name })
    try {
      // Only whom this node dials is connected, and it speaks as a member does at the very moment it lets this node in.
      net.admit(() => 'member')
      const joined = await joinCluster({
        net,
        identity,
        to,
        name: this.#name,
        version: VERSION,
        now: () => Date.now(),
        onWaiting: (words, at) => tell({ type: 'waiting', words, at: placeOf(to, at) }),
        ...(signal ? { signal } : {}),
      })
      const { cluster, clusterName, founder, nonce, members, role, via } = joined
      const file: ClusterFile = {
        v: 1,
        cluster,
        name: clusterName,
        founder,
        nonce,
        since: Date.now(),
        seeds: [...members].sort((a, b) => Number(b.node === via) - Number(a.node === via)),
      }
      writeClusterFile(dataDir, file)
      tell({ type: 'joined', cluster, name: clusterName, role })
      return file
    } finally {
      await net.close()
    }
  }
}

/** Where a person is to look: as he knows that machine, by the address that he gave. */
function placeOf(way: string, node: NodeId): string {
  const [, host, port] = /^\/(?:ip4|dns4?)\/([^/]+)\/tcp\/(\d+)/.exec(way) ?? []
  return host === undefined ? shortNode(node) : `${host}:${port}`
}

/** A way that leads to another cluster than the one this node belongs to. An address may lead anywhere: that is found out there. */
function assertSame(way: string, file: ClusterFile): void {
  const read = way.startsWith('orch') ? readInvite(way, Date.now()) : undefined
  if (!read?.ok || read.invite.cluster === file.cluster) return
  throw new OrchError(
    'ORCH_OTHER_CLUSTER',
    `this node belongs to the cluster "${file.name}"; the invitation is for "${read.invite.clusterName}"`,
  )
}

/** Who answers at an address says to which cluster it belongs. When nobody does, this node is a member all the same. */
async function assertLeadsHere(way: string, { net }: Cluster): Promise<void> {
  if (!way.startsWith('/')) return
  await net.dial(way).catch((error: unknown) => {
    if (isOrchError(error) && error.code === 'ORCH_OTHER_CLUSTER') throw error
  })
}

function notMember(): OrchError {
  return new OrchError('ORCH_NOT_MEMBER', 'this node belongs to no cluster', {
    hint: 'found one with `orch-node invite`, or join one with `orch-node join TOKEN`',
  })
}
