/** Goal: who may join, joins; nobody else does, and each is told why. Method: issuers with a real roster and joiners on the memory net, once over libp2p; liars speak the protocol by hand. */
import { createHash, randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { OrchError } from '../../src/core/error.ts'
import type { MemberFact, Role } from '../../src/core/fact.ts'
import {
  CLOCK_TOLERANCE_MS,
  JOIN_POLL_MS,
  JOIN_REQUEST_MS_MAX,
  JOIN_REQUESTS_MAX,
  JOIN_TRIES_MAX,
  JOIN_TRIES_MS,
} from '../../src/core/limit.ts'
import { Roster } from '../../src/core/roster.ts'
import { clusterId } from '../../src/core/roster-read.ts'
import { type Identity, identityFromSeed } from '../../src/net/identity.ts'
import { createInvite, readInvite } from '../../src/net/invite.ts'
import { type Admission, type Joins, serveJoins } from '../../src/net/join.ts'
import { type JoinWish, joinCluster } from '../../src/net/join-ask.ts'
import {
  commitment,
  encodeJoin,
  encodeOutcome,
  JOIN_PROTOCOL,
  joinBytes,
  readChallenge,
  readJoinHello,
  readOutcome,
  readProof,
} from '../../src/net/join-message.ts'
import { createLibp2pNet } from '../../src/net/libp2p.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import { type Messages, messagesOver } from '../../src/net/message.ts'
import type { Net } from '../../src/net/net.ts'
import { sixWords } from '../../src/net/words.ts'
import { codeOf, eventually, identity } from './contract.ts'
import { HandTiming } from './hand-timing.ts'

const NOW = 1_800_000_000_000
const HOUR = 3_600_000
const YEAR = 365 * 24 * HOUR
const LIFE = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
const ISSUER = identity(1)
const NONCE = 'a nonce'

/** The board of the issuer, as far as membership goes. */
class Ledger implements Admission {
  readonly roster = new Roster(clusterId(ISSUER.node, NONCE))
  readonly admitted: string[] = []
  onAdmit: () => Promise<void> = async () => {}
  #commits = 0

  constructor() {
    this.write(ISSUER.node, { verb: 'found', name: 'issuer', nonce: NONCE })
  }

  write(subject: string, fact: MemberFact): void {
    const author = { node: ISSUER.node, incarnation: LIFE }
    expect(this.roster.apply(`${subject}/${this.roster.nextVersion()}`, fact, author, ++this.#commits)).toBe(
      true,
    )
  }

  card() {
    return {
      cluster: this.roster.cluster,
      clusterName: 'lab',
      founder: ISSUER.node,
      nonce: NONCE,
      members: [{ node: ISSUER.node, addresses: ['/ip4/10.0.0.1/tcp/7946'] }],
    }
  }

  role(node: string) {
    return this.roster.role(node)
  }

  invite(id: string) {
    return this.roster.invite(id)
  }

  async admit(node: string, name: string, role: Role, invite?: string) {
    await this.onAdmit()
    this.admitted.push(node)
    this.write(node, { verb: 'admit', role, name, ...(invite !== undefined && { invite }) })
  }
}

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function lab(now = NOW) {
  const network = createMemoryNetwork()
  const ledger = new Ledger()
  const timing = new HandTiming()
  const clock = { now }
  const join = (who: Identity): Net => {
    const net = network.join({ node: who.node, ...(who === ISSUER && { cluster: ledger.roster.cluster }) })
    net.admit(
      who === ISSUER ? (node) => (ledger.role(node) === 'none' ? 'stranger' : 'member') : () => 'stranger',
    )
    closing.push(() => net.close())
    return net
  }
  const net = join(ISSUER)
  const joins: Joins = serveJoins({ net, admission: ledger, now: () => clock.now, timing })
  const invite = (
    change: {
      uses?: number
      role?: Role
      ms?: number
      approve?: true
      by?: Identity
      addresses?: string[]
    } = {},
  ) => {
    const {
      uses = 1,
      role = 'worker',
      ms = HOUR,
      approve,
      by = ISSUER,
      addresses = [`/memory/${by.node}`],
    } = change
    const wish = {
      cluster: ledger.roster.cluster,
      clusterName: 'lab',
      id: randomBytes(8).toString('hex'),
      role,
      issuedAt: clock.now,
      expiresAt: clock.now + ms,
      addresses,
    }
    const created = createInvite(by, wish, randomBytes(32))
    const { key, expiresAt, id } = created.invite
    ledger.write(`invite:${id}`, { verb: 'invite', key, role, expiresAt, uses, ...(approve && { approve }) })
    return { ...created, id }
  }
  const ask = (n: number, to: string, change: Partial<JoinWish> = {}) => {
    const who = identity(n)
    return joinCluster({
      net: change.net ?? join(who),
      identity: who,
      to,
      name: `node ${n}`,
      version: '1.0.0',
      now: () => NOW,
      ...change,
    })
  }
  /** Speaks the protocol by hand, up to the challenge. */
  const greet = async (n: number, hello: object = {}, from = join(identity(n))) => {
    await from.dial(net.addresses()[0]!)
    const talk = messagesOver(await from.open(net.node, JOIN_PROTOCOL))
    const nonce = randomBytes(32).toString('hex')
    const sent = { node: identity(n).node, name: 'x', version: '1', commit: commitment(nonce), ...hello }
    await talk.send(Buffer.from(JSON.stringify(sent)))
    const bytes = (await talk.receive())!
    return { talk, nonce, challenge: readChallenge(bytes), refusal: readOutcome(bytes), from }
  }
  return { network, ledger, timing, clock, net, join, joins, invite, ask, greet }
}

/** One more round of the protocol: nine timers on the side that was asked, of which two wait: for the decision, and for a word of the joiner. */
async function askedAgain(timing: HandTiming, before: number): Promise<void> {
  await eventually(() => expect([timing.set - before, timing.waiting]).toEqual([9, 2]))
}

async function refusalOf(talk: Messages): Promise<string> {
  const outcome = readOutcome((await talk.receive())!)
  return outcome?.type === 'refused'
    ? `${outcome.error.code} ${outcome.error.message}`
    : String(outcome?.type)
}

describe('joining by an invitation', () => {
  it('[JO6] lets the machine in by the role of the invitation, and tells it of the cluster', async () => {
    const { ledger, invite, ask, net } = lab()
    const joined = await ask(2, invite({ role: 'planner' }).token)
    expect(joined).toEqual({ ...ledger.card(), role: 'planner', via: net.node, clockAheadMs: 0 })
    expect(ledger.roster.member(identity(2).node)).toMatchObject({ role: 'planner', name: 'node 2' })
  })

  it('[JO6] tells of as many members as fit', async () => {
    const { ledger, invite, ask } = lab()
    const card = ledger.card()
    const members = Array.from({ length: 200 }, (_, i) => ({
      node: identity(i).node,
      addresses: [`/ip4/10.0.0.${i}/tcp/7946`],
    }))
    ledger.card = () => ({ ...card, members })
    const joined = await ask(2, invite().token)
    expect(joined.members.length).toBeGreaterThan(20)
    expect(joined.members).toEqual(members.slice(0, joined.members.length))
  })

  it('[JO7] of 100 that use a one-use invitation at once exactly one is let in', async () => {
    const { ledger, invite, ask } = lab()
    ledger.onAdmit = () => new Promise((resolve) => setImmediate(resolve))
    const { token } = invite()
    const codes = await Promise.all(Array.from({ length: 100 }, (_, i) => codeOf(ask(100 + i, token))))
    expect(codes.filter((code) => code === 'no error')).toHaveLength(1)
    expect(codes.filter((code) => code === 'ORCH_INVITE_USED')).toHaveLength(99)
    expect(ledger.admitted).toHaveLength(1)
  })

  it('[JO7] two at once, and a second use; one for three lets three in', async () => {
    const { invite, ask } = lab()
    const { token } = invite()
    const codes = await Promise.all([codeOf(ask(2, token)), codeOf(ask(3, token))])
    expect(codes.sort()).toEqual(['ORCH_INVITE_USED', 'no error'])
    await expect(ask(4, token)).rejects.toThrow('could be used once, and was')
    const many = invite({ uses: 3 }).token
    for (const n of [5, 6, 7]) expect(await ask(n, many)).toMatchObject({ role: 'worker' })
    await expect(ask(8, many)).rejects.toThrow('could be used 3 times')
  })

  it('[JO8] one that is in already and did not hear the answer asks again and is told, at no cost', async () => {
    const { ledger, invite, ask, join } = lab()
    const { token } = invite({ uses: 2 })
    const net = join(identity(2))
    await ask(2, token, { net })
    expect(await ask(2, token, { net })).toMatchObject({ role: 'worker' })
    expect(ledger.admitted).toEqual([identity(2).node])
  })

  it('[JO9] expired, by the issuer clock; taken back; of an issuer that is no admin, or no member, any more', async () => {
    const { ledger, clock, invite, ask } = lab()
    const { token, id } = invite({ uses: 9 })
    clock.now = NOW + HOUR + CLOCK_TOLERANCE_MS
    expect(await ask(2, token)).toMatchObject({ role: 'worker' })
    clock.now++
    await expect(ask(3, token)).rejects.toMatchObject({
      code: 'ORCH_INVITE_EXPIRED',
      message: expect.stringMatching(
        /expired at 2027-.* the clock there says 2027-.*70 minutes ahead of this one/,
      ),
    })
    clock.now = NOW
    ledger.write(`invite:${id}`, { verb: 'revoke' })
    await expect(ask(4, token)).rejects.toMatchObject({
      code: 'ORCH_INVITE_EXPIRED',
      message: expect.stringContaining('taken back'),
    })
    const late = invite().token
    ledger.role = () => 'none'
    expect(await codeOf(ask(5, late))).toBe('ORCH_NOT_MEMBER')
    expect(ledger.admitted).toEqual([identity(2).node])
  })

  it('[JO9] a clock that is off by a year is named, on either side', async () => {
    const { clock, invite, ask } = lab()
    const { token } = invite()
    await expect(ask(2, token, { now: () => NOW + YEAR })).rejects.toMatchObject({
      code: 'ORCH_INVITE_EXPIRED',
      message: expect.stringContaining('may be wrong'),
    })
    await expect(ask(5, token, { now: () => NOW - YEAR })).rejects.toMatchObject({
      code: 'ORCH_INVITE_INVALID',
      message: expect.stringContaining('not valid yet'),
    })
    clock.now = NOW + YEAR
    await expect(ask(3, token)).rejects.toMatchObject({
      code: 'ORCH_INVITE_EXPIRED',
      message: expect.stringContaining('365 days ahead of this one'),
      hint: 'set the clock that is wrong, then try again',
    })
    clock.now = NOW - YEAR
    expect(await ask(4, token)).toMatchObject({ clockAheadMs: -YEAR })
  })

  it('[JO9] to another cluster, or taken to another node than its issuer', async () => {
    const { ledger, invite, ask } = lab()
    const { token } = invite()
    const card = ledger.card()
    ledger.card = () => ({
      ...card,
      cluster: clusterId(ISSUER.node, 'later'),
      clusterName: 'new lab',
      nonce: 'later',
    })
    await expect(ask(2, token)).rejects.toMatchObject({
      code: 'ORCH_INVITE_INVALID',
      message: 'the invitation is to cluster lab; the node that made it belongs to new lab now',
    })
    ledger.card = () => card
    const invited = ledger.roster.invites()[0]!
    ledger.invite = () => ({ ...invited, issuer: identity(7).node })
    await expect(ask(3, token)).rejects.toMatchObject({
      code: 'ORCH_INVITE_INVALID',
      message: expect.stringContaining('only the node that made'),
    })
    expect(ledger.admitted).toEqual([])
  })

  it('[JO10] a man in the middle with another key is not spoken to', async () => {
    const { network, ledger, invite, ask } = lab()
    const { node } = identity(66)
    let streams = 0
    const middle = network.join({ node, cluster: ledger.roster.cluster })
    middle.admit(() => 'stranger')
    middle.handle(JOIN_PROTOCOL, async () => void streams++, { strangers: true })
    closing.push(() => middle.close())
    const { token } = invite({ addresses: [`/memory/${node}`] })
    expect(await codeOf(ask(2, token))).toMatch(/^ORCH_PEER_(UNREACHABLE|DENIED)$/)
    expect(streams).toBe(0)
    const both = invite({ addresses: [`/memory/${node}`, `/memory/${ISSUER.node}`] })
    expect(await ask(3, both.token)).toMatchObject({ via: ISSUER.node })
    expect(streams).toBe(0)
  })

  it('[JO10] an invitation that names only addresses of its own machine says so when they lead nowhere', async () => {
    const { invite, ask } = lab()
    const { token } = invite({ addresses: ['/ip4/127.0.0.1/tcp/7946'] })
    await expect(ask(2, token)).rejects.toMatchObject({
      hint: expect.stringContaining('only addresses of the machine that made it'),
    })
  })

  it('[JO10] a node does not join itself', async () => {
    const { net, invite } = lab()
    const wish = { net, identity: ISSUER, to: invite().token, name: 'a', version: '1', now: () => NOW }
    await expect(joinCluster(wish)).rejects.toMatchObject({
      code: 'ORCH_USAGE',
      message: expect.stringContaining('made the invitation itself'),
    })
  })

  it('[JO11] a proof counts once, for the node and the nonce that it was made for', async () => {
    const { ledger, invite, greet } = lab()
    const { token, id } = invite({ uses: 9 })
    const read = readInvite(token, NOW)
    if (!read.ok) throw new Error(read.problem)
    const first = await greet(2, { invite: id })
    const said = {
      cluster: ledger.roster.cluster,
      issuer: ISSUER.node,
      node: identity(2).node,
      issuerNonce: first.challenge!.nonce,
      nodeNonce: first.nonce,
    }
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
    const proof = {
      nonce: first.nonce,
      own: hex(identity(2).sign(joinBytes(said))),
      proof: hex(read.prove(joinBytes(said))),
    }
    // Somebody who overheard it, under his own name and under the same.
    const thief = await greet(3, { invite: id, commit: commitment(first.nonce) })
    await thief.talk.send(encodeJoin(proof))
    expect(await refusalOf(thief.talk)).toContain('a signature that is not its own')
    const named = await greet(4, { invite: id, node: identity(2).node })
    expect(named.refusal).toMatchObject({
      error: { message: expect.stringContaining('names itself as another node') },
    })
    const own = { ...said, node: identity(5).node }
    const again = await greet(5, { invite: id, commit: commitment(first.nonce) })
    const signed = joinBytes({ ...own, issuerNonce: again.challenge!.nonce })
    await again.talk.send(encodeJoin({ ...proof, own: hex(identity(5).sign(signed)) }))
    expect(await refusalOf(again.talk)).toMatch(/^ORCH_INVITE_INVALID .* knows no such invitation/)
    const other = await greet(6, { invite: id })
    await other.talk.send(encodeJoin({ ...proof, nonce: randomBytes(32).toString('hex') }))
    expect(await refusalOf(other.talk)).toContain('had not committed to')
    expect(ledger.admitted).toEqual([])
    await first.talk.send(encodeJoin(proof))
    expect(readOutcome((await first.talk.receive())!)).toMatchObject({ type: 'admitted' })
  })

  it('[JO11] a key of its own does not open an invitation, nor does an unknown one', async () => {
    const { ledger, invite, greet } = lab()
    const { id } = invite()
    for (const [n, name] of [
      [2, id],
      [3, '00'.repeat(8)],
    ] as const) {
      const { talk, challenge, nonce } = await greet(n, { invite: name })
      const said = {
        cluster: ledger.roster.cluster,
        issuer: ISSUER.node,
        node: identity(n).node,
        issuerNonce: challenge!.nonce,
        nodeNonce: nonce,
      }
      const own = Buffer.from(identity(n).sign(joinBytes(said))).toString('hex')
      await talk.send(encodeJoin({ nonce, own, proof: own }))
      expect(await refusalOf(talk)).toMatch(/^ORCH_INVITE_INVALID .* knows no such invitation/)
    }
    expect(ledger.admitted).toEqual([])
  })

  it('[JO12] what an issuer tells is checked: the id of the cluster is the hash of its founding', async () => {
    const { ledger, invite, ask } = lab()
    const card = ledger.card()
    for (const lie of [{ founder: identity(8).node }, { nonce: 'another' }]) {
      ledger.card = () => ({ ...card, ...lie })
      await expect(ask(lie.nonce ? 2 : 3, invite().token)).rejects.toMatchObject({
        code: 'ORCH_PROTOCOL',
        message: expect.stringContaining('does not fit its founding'),
      })
    }
  })

  it('[JO12] what the board refuses is told by its code', async () => {
    const { ledger, invite, ask } = lab()
    ledger.onAdmit = async () => {
      throw new OrchError('ORCH_REMOVED', 'it was removed an hour ago')
    }
    await expect(ask(2, invite().token)).rejects.toMatchObject({
      code: 'ORCH_REMOVED',
      message: 'it was removed an hour ago',
    })
  })
})

describe('joining by a person', () => {
  const waiting = () => {
    const world = lab()
    const words: string[] = []
    const request = (n: number, to = world.net.addresses()[0]!, change: Partial<JoinWish> = {}) =>
      world.ask(n, to, { onWaiting: (said) => words.push(said), ...change })
    const shown = async (count = 1) => {
      await eventually(() => expect([world.joins.requests().length, words.length]).toEqual([count, count]))
      return world.joins.requests()
    }
    return { ...world, words, request, shown }
  }

  it('[JO13] both sides show the same six words, and the person lets it in', async () => {
    const { words, request, shown, joins, ledger } = waiting()
    const joining = request(2)
    const [item] = await shown()
    expect(item).toMatchObject({ node: identity(2).node, name: 'node 2', version: '1.0.0', askedAt: NOW })
    expect(item!.words).toBe(words[0])
    expect(item!.words.split(' ')).toHaveLength(6)
    await joins.approve(identity(2).node, 'observer')
    expect(await joining).toMatchObject({ role: 'observer', cluster: ledger.roster.cluster })
    expect(joins.requests()).toEqual([])
  })

  it('[JO13] the words are others for each machine, each request and each key', async () => {
    const { request, shown } = waiting()
    const stop = new AbortController()
    const joining = Promise.all([2, 3, 4].map((n) => codeOf(request(n, undefined, { signal: stop.signal }))))
    const items = await shown(3)
    expect(new Set(items.map(({ words }) => words)).size).toBe(3)
    stop.abort()
    expect(await joining).toEqual(['ORCH_CANCELLED', 'ORCH_CANCELLED', 'ORCH_CANCELLED'])
  })

  it('[JO13] a nonce is committed to before the other is told, so that nobody in between can choose the words', async () => {
    const { greet } = waiting()
    const { talk, nonce, challenge } = await greet(2)
    expect(challenge).toBeDefined()
    const later = randomBytes(32).toString('hex')
    expect(later).not.toBe(nonce)
    await talk.send(encodeJoin({ nonce: later, own: '00'.repeat(64) }))
    expect(await refusalOf(talk)).toContain('a nonce that it had not committed to')
  })

  it('[JO14] a no is told with its reason, and taken back is taken back', async () => {
    const { request, shown, joins, ledger } = waiting()
    const first = request(2)
    const refused = expect(first).rejects.toMatchObject({
      code: 'ORCH_PEER_DENIED',
      message: 'a person there said no: not yours',
    })
    await shown()
    expect(joins.refuse(identity(2).node, 'not yours')).toBe(true)
    await refused
    const stop = new AbortController()
    const second = codeOf(request(3, undefined, { signal: stop.signal }))
    await eventually(() => expect(joins.requests()).toHaveLength(1))
    stop.abort()
    expect(await second).toBe('ORCH_CANCELLED')
    await eventually(() => expect(joins.requests()).toEqual([]))
    expect(joins.refuse(identity(3).node)).toBe(false)
    expect(await codeOf(joins.approve(identity(3).node, 'worker'))).toBe('ORCH_NOT_FOUND')
    expect(ledger.admitted).toEqual([])
  })

  it('[JO14] nobody decides: told after the time for it, on both sides', async () => {
    const { request, shown, joins, timing } = waiting()
    const first = expect(request(2)).rejects.toMatchObject({
      code: 'ORCH_NODE_TIMEOUT',
      message: expect.stringContaining('in time'),
    })
    await shown()
    await eventually(() => expect(timing.waiting).toBe(2))
    while (timing.now() + JOIN_POLL_MS < JOIN_REQUEST_MS_MAX) {
      const { set } = timing
      timing.advance(JOIN_POLL_MS)
      await askedAgain(timing, set)
      expect(joins.requests()).toHaveLength(1)
    }
    timing.advance(JOIN_POLL_MS)
    await first
    expect(joins.requests()).toEqual([])
  })

  it('[JO15] a connection that breaks while it waits: the same request, the same words, and the decision is heard', async () => {
    const { words, request, shown, joins, net, ledger } = waiting()
    const joining = request(2)
    const [item] = await shown()
    await net.hangUp(identity(2).node)
    await eventually(() => expect(net.peers()).toEqual([]))
    // Decided while it is away.
    await joins.approve(identity(2).node, 'worker')
    expect(await joining).toMatchObject({ role: 'worker' })
    expect(words).toEqual([item!.words])
    expect(ledger.admitted).toEqual([identity(2).node])
  })

  it('[JO15] a request is asked again after each long wait, and is still the same', async () => {
    const { words, request, shown, joins, timing } = waiting()
    const joining = request(2)
    const [item] = await shown()
    await eventually(() => expect(timing.waiting).toBe(2))
    for (let i = 0; i < 3; i++) {
      const { set } = timing
      timing.advance(JOIN_POLL_MS)
      await askedAgain(timing, set)
    }
    expect(joins.requests()).toEqual([item])
    await joins.approve(identity(2).node, 'worker')
    await joining
    expect(words).toEqual([item!.words])
  })

  it('[JO16] an invitation that asks for approval waits for a person, and gives its own role', async () => {
    const { words, request, shown, joins, invite, ledger } = waiting()
    const { token, id } = invite({ role: 'integrator', approve: true })
    const joining = request(2, token)
    const [item] = await shown()
    expect(item).toMatchObject({ role: 'integrator', words: words[0] })
    await joins.approve(identity(2).node, 'observer')
    expect(await joining).toMatchObject({ role: 'integrator' })
    expect(ledger.invite(id)).toMatchObject({ used: 1 })
    expect(await codeOf(request(3, token))).toBe('ORCH_INVITE_USED')
  })

  it('[JO16] taken back while it waits: the approval is refused', async () => {
    const { request, shown, joins, invite, ledger } = waiting()
    const { token, id } = invite({ approve: true })
    const stop = new AbortController()
    const joining = codeOf(request(2, token, { signal: stop.signal }))
    await shown()
    ledger.write(`invite:${id}`, { verb: 'revoke' })
    expect(await codeOf(joins.approve(identity(2).node, 'worker'))).toBe('ORCH_INVITE_EXPIRED')
    stop.abort()
    expect(await joining).toBe('ORCH_CANCELLED')
    expect(ledger.admitted).toEqual([])
  })

  it('[JO17] so many wait and no more', async () => {
    const { request, shown, joins } = waiting()
    const stop = new AbortController()
    setMaxListeners(0, stop.signal)
    const joining = Array.from({ length: JOIN_REQUESTS_MAX }, (_, i) => {
      return codeOf(request(100 + i, undefined, { signal: stop.signal }))
    })
    await shown(JOIN_REQUESTS_MAX)
    expect(await codeOf(request(99))).toBe('ORCH_BACKPRESSURE')
    expect(joins.requests()).toHaveLength(JOIN_REQUESTS_MAX)
    stop.abort()
    await Promise.all(joining)
  })
})

describe('strangers', () => {
  it('[JO18] one that tries in vain too often has to wait, and is told how long', async () => {
    const { greet, timing, join } = lab()
    const net = join(identity(2))
    for (let i = 0; i < JOIN_TRIES_MAX; i++) {
      const { talk } = await greet(2, {}, net)
      await talk.send(encodeJoin({ nonce: '00'.repeat(32), own: '00'.repeat(64) }))
      expect(await refusalOf(talk)).toContain('not committed')
      await talk.end()
      await talk.receive()
      await eventually(() => expect(timing.waiting).toBe(0))
    }
    const { refusal } = await greet(2, {}, net)
    expect(refusal).toMatchObject({
      type: 'refused',
      error: { code: 'ORCH_BACKPRESSURE' },
      againMs: JOIN_TRIES_MS,
    })
    expect((await greet(3)).challenge).toBeDefined()
    timing.advance(JOIN_TRIES_MS)
    await eventually(() => expect(timing.waiting).toBe(0))
    expect((await greet(2, {}, net)).challenge).toBeDefined()
  })

  it('[JO18] one that is slow, or says too much, is let go', async () => {
    const { join, net, timing } = lab()
    const from = join(identity(2))
    await from.dial(net.addresses()[0]!)
    const slow = messagesOver(await from.open(net.node, JOIN_PROTOCOL))
    await eventually(() => expect(timing.waiting).toBeGreaterThan(0))
    timing.advance(10_000)
    expect(await codeOf(slow.receive())).toMatch(/ORCH_PEER_GONE|no error/)
    const long = messagesOver(await from.open(net.node, JOIN_PROTOCOL))
    await long.send(Buffer.alloc(5_000, ' '))
    const bytes = await long.receive().catch(() => undefined)
    expect(bytes && readOutcome(bytes)).toSatisfy(
      (outcome: { error?: { code: string } } | undefined) =>
        !outcome || outcome.error?.code === 'ORCH_PROTOCOL',
    )
  })

  it('[JO19] 10,000 damaged messages never throw', () => {
    const hex = (bytes: number) => 'ab'.repeat(bytes)
    const { node } = ISSUER
    const card = {
      cluster: hex(16),
      clusterName: 'lab',
      founder: node,
      nonce: 'n',
      members: [{ node, addresses: ['/ip4/1.2.3.4/tcp/1'] }],
    }
    const sound = [
      encodeJoin({ node, name: 'a', version: '1', commit: hex(32), invite: hex(8) }),
      encodeJoin({ node, cluster: hex(16), clusterName: 'lab', nonce: hex(32), now: NOW }),
      encodeJoin({ nonce: hex(32), own: hex(64), proof: hex(64) }),
      encodeOutcome({ type: 'admitted', role: 'worker', card }),
      encodeOutcome({ type: 'refused', error: new OrchError('ORCH_ROLE', 'no'), againMs: 5 }),
    ]
    const readers = [readJoinHello, readChallenge, readProof, readOutcome]
    for (const [i, bytes] of [...sound.slice(0, 4), ...sound.slice(4)].entries())
      expect(readers[Math.min(i, 3)]!(bytes)).toBeDefined()
    fc.assert(
      fc.property(
        fc.constantFrom(...sound),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }),
        fc.nat(600),
        (message, changes, length) => {
          const bytes = Buffer.from(message)
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          for (const read of readers) expect(() => read(bytes.subarray(0, length))).not.toThrow()
        },
      ),
      { numRuns: 10_000 },
    )
    for (const text of [
      'null',
      '[]',
      '5',
      '{"type":"admitted"}',
      '{"type":"refused"}',
      '{"type":"admitted","card":{"members":[null]}}',
    ])
      for (const read of readers) expect(read(Buffer.from(text))).toBeUndefined()
  })
})

describe('the words', () => {
  it('[JO13] 256 that nobody mixes up', () => {
    const words = Array.from({ length: 256 }, (_, byte) => sixWords(Uint8Array.of(byte)))
    expect(new Set(words.map((word) => word.slice(0, 3))).size).toBe(256)
    for (const word of words) expect(word).toMatch(/^[a-z]{4,6}$/)
    expect(sixWords(createHash('sha256').update('x').digest())).toBe(
      Array.from(createHash('sha256').update('x').digest().subarray(0, 6), (byte) => words[byte]).join(' '),
    )
  })
})

describe('joining over libp2p', () => {
  const open = async () => {
    const ledger = new Ledger()
    const make = async (who: Identity): Promise<Net> => {
      const net = await createLibp2pNet({
        identity: who,
        listen: ['/ip4/127.0.0.1/tcp/0'],
        name: who.node.slice(-8),
        version: '1.0.0',
        topics: [],
        ...(who === ISSUER && { cluster: ledger.roster.cluster }),
      })
      closing.push(() => net.close())
      return net
    }
    const net = await make(ISSUER)
    net.admit((node) => (ledger.role(node) === 'none' ? 'stranger' : 'member'))
    const joins = serveJoins({ net, admission: ledger, now: () => NOW })
    const invite = (change: { addresses?: readonly string[]; isUnknown?: boolean } = {}) => {
      const { addresses = net.addresses(), isUnknown } = change
      const { cluster } = ledger.roster
      const times = { issuedAt: NOW, expiresAt: NOW + HOUR }
      const wish = {
        cluster,
        clusterName: 'lab',
        id: randomBytes(8).toString('hex'),
        role: 'worker',
        ...times,
      } as const
      const created = createInvite(ISSUER, { ...wish, addresses }, randomBytes(32))
      const { key, expiresAt, id, role } = created.invite
      if (!isUnknown) ledger.write(`invite:${id}`, { verb: 'invite', key, role, expiresAt, uses: 1 })
      return created.token
    }
    const ask = async (n: number, to: string, change: Partial<JoinWish> = {}) => {
      const own = await make(identity(n))
      own.admit(() => 'stranger')
      const who = { net: own, identity: identity(n), name: `node ${n}`, version: '1.0.0' }
      return joinCluster({ ...who, to, now: () => NOW, ...change })
    }
    return { make, net, joins, invite, ask }
  }

  it('[JO6] [JO13] [JO10] by an invitation, by a person, and not by another key behind the address', async () => {
    const { make, net, joins, invite, ask } = await open()
    const token = invite()
    expect(await ask(2, token)).toMatchObject({ role: 'worker', via: ISSUER.node })
    expect(await codeOf(ask(3, token))).toBe('ORCH_INVITE_USED')
    let words = ''
    const joining = ask(4, net.addresses()[0]!, {
      onWaiting: (said) => {
        words = said
      },
    })
    await eventually(() => expect(joins.requests().map((item) => item.words)).toEqual([words]))
    await joins.approve(identity(4).node, 'observer')
    expect(await joining).toMatchObject({ role: 'observer' })
    const middle = await make(identityFromSeed(Buffer.alloc(32, 5)))
    let streams = 0
    middle.admit(() => 'stranger')
    middle.handle(JOIN_PROTOCOL, async () => void streams++, { strangers: true })
    expect(await codeOf(ask(5, invite({ addresses: middle.addresses() })))).toMatch(
      /^ORCH_PEER_(UNREACHABLE|DENIED)$/,
    )
    expect(streams).toBe(0)
  })

  it('[JO18] vain tries of many keys from one address count together', async () => {
    const { invite, ask } = await open()
    const unknown = invite({ isUnknown: true })
    for (let n = 0; n < JOIN_TRIES_MAX; n++)
      expect(await codeOf(ask(10 + n, unknown))).toBe('ORCH_INVITE_INVALID')
    expect(await codeOf(ask(20, invite(), { timeoutMs: 10_000 }))).toBe('ORCH_BACKPRESSURE')
  })
})
