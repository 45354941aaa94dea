/** What this node may say about members, in words when it may not; and what a change of the roster means for what runs here. */
import type { MemberFact, NodeRecord } from './fact.ts'
import { releaseAttempt, voidHeld } from './hold.ts'
import { CLUSTER_DOC, type NodeId } from './id.ts'
import type { InputOf, Reply } from './input.ts'
import { CLOCK_TOLERANCE_MS, MEMBERS_MAX } from './limit.ts'
import type { NodeState } from './node-state.ts'
import { refuse } from './order.ts'
import type { Roster } from './roster.ts'
import { farther, INVITE_SUBJECT, isRole, readMemberFact } from './roster-fact.ts'
import { clusterId } from './roster-read.ts'
import { dropBid } from './schedule.ts'

type Verb<V extends MemberFact['verb']> = Extract<MemberFact, { verb: V }>
const OK: Reply = { ok: true }

/** Writes a membership fact if this node may; the reply has its version as `n`. */
export function giveMember(state: NodeState, { subject, fact }: InputOf<'member'>): Reply {
  const { roster } = state
  if (!roster) return refuse('ORCH_NOT_MEMBER', 'this node belongs to no cluster')
  const n = roster.nextVersion()
  if (!readMemberFact(`${subject}/${n}`, fact, state.options.author, 1))
    return refuse('ORCH_USAGE', `this is not a well-formed membership fact about "${subject}"`)
  const reply = check(state, roster, subject, fact)
  if (!reply.ok) return reply
  state.put({
    doc: CLUSTER_DOC,
    collection: 'members',
    key: `${subject}/${n}`,
    body: fact.verb === 'role' || fact.verb === 'remove' ? withSince(state, subject, fact) : fact,
  })
  return { ok: true, n }
}

function check(state: NodeState, roster: Roster, subject: string, fact: MemberFact): Reply {
  const { me } = state
  if (fact.verb === 'found') return checkFounding(state, roster, subject, fact)
  const mine = roster.member(me)
  if (!mine) return refuse('ORCH_NOT_MEMBER', 'this node is no member of the cluster')
  if (mine.role === 'none')
    return refuse(
      'ORCH_REMOVED',
      `this node ${mine.removed?.by === me ? 'left' : 'was removed from'} the cluster`,
    )
  if (fact.verb === 'remove' && subject === me) return checkLeave(roster, me)
  if (mine.role !== 'admin')
    return refuse('ORCH_ROLE', `this node's role is ${mine.role}: only an admin can ${DEEDS[fact.verb]}`, {
      role: mine.role,
      needed: 'admin',
    })
  switch (fact.verb) {
    case 'invite':
      if (!roster.invite(subject.slice(INVITE_SUBJECT.length))) return OK
      return refuse('ORCH_WRONG_STATE', `there is an invitation of this name already: ${subject}`)
    case 'revoke': {
      const invite = roster.invite(subject.slice(INVITE_SUBJECT.length))
      if (!invite) return refuse('ORCH_NOT_FOUND', `there is no such invitation: ${subject}`)
      return invite.revoked ? refuse('ORCH_WRONG_STATE', 'this invitation was taken back already') : OK
    }
    case 'admit':
      return checkAdmission(state, roster, subject, fact)
    case 'role':
    case 'remove':
      return checkChange(roster, subject, fact)
  }
}

const DEEDS: Readonly<Record<Exclude<MemberFact['verb'], 'found'>, string>> = {
  invite: 'invite others',
  revoke: 'take an invitation back',
  admit: 'let others in',
  role: 'change roles',
  remove: 'remove others',
}

function checkFounding(state: NodeState, roster: Roster, subject: string, fact: Verb<'found'>): Reply {
  if (roster.members().length > 0) return refuse('ORCH_WRONG_STATE', 'the cluster was founded already')
  if (subject !== state.me) return refuse('ORCH_USAGE', 'a node founds a cluster by itself')
  if (clusterId(state.me, fact.nonce) !== roster.cluster)
    return refuse('ORCH_OTHER_CLUSTER', `this nonce names another cluster than ${roster.cluster}`)
  return OK
}

/** Somebody must stay who can let others in. */
function checkLeave(roster: Roster, me: NodeId): Reply {
  const others = roster.members().filter((m) => m.role !== 'none' && m.node !== me)
  if (roster.role(me) !== 'admin' || others.length === 0 || others.some((m) => m.role === 'admin')) return OK
  return refuse('ORCH_WRONG_STATE', 'this node is the only admin: make another member admin first')
}

function checkAdmission(state: NodeState, roster: Roster, subject: string, fact: Verb<'admit'>): Reply {
  if (roster.isMember(subject)) return refuse('ORCH_WRONG_STATE', `${subject} is a member already`)
  if (roster.members().filter((m) => m.role !== 'none').length >= MEMBERS_MAX)
    return refuse('ORCH_WRONG_STATE', `a cluster has at most ${MEMBERS_MAX} members`)
  if (fact.invite === undefined) return OK
  const invite = roster.invite(fact.invite)
  if (!invite) return refuse('ORCH_INVITE_INVALID', `there is no such invitation: ${fact.invite}`)
  // One writer counts the uses, so that two who come at once, also in a partition, do not both get in by one.
  if (invite.issuer !== state.me)
    return refuse('ORCH_WRONG_STATE', `this invitation is ${invite.issuer}'s, which alone can let in by it`)
  if (invite.revoked) return refuse('ORCH_INVITE_INVALID', 'this invitation was taken back')
  if (invite.role !== fact.role)
    return refuse('ORCH_ROLE', `this invitation is for the role ${invite.role}, not ${fact.role}`)
  if (state.at > invite.expiresAt + CLOCK_TOLERANCE_MS)
    return refuse('ORCH_INVITE_EXPIRED', 'this invitation has expired')
  if (invite.used >= invite.uses)
    return refuse('ORCH_INVITE_USED', `this invitation was used ${invite.used} of ${invite.uses} times`)
  return OK
}

function checkChange(roster: Roster, subject: string, fact: Verb<'role'> | Verb<'remove'>): Reply {
  const member = roster.member(subject)
  if (!member) return refuse('ORCH_NOT_FOUND', `there is no member ${subject}`)
  if (member.role === 'none') return refuse('ORCH_WRONG_STATE', `${subject} is no member any more`)
  if (member.founder)
    return refuse(
      'ORCH_WRONG_STATE',
      `${member.name} founded the cluster: its admin for ever, unless it leaves`,
    )
  if (fact.verb === 'role' && isRole(fact.role) && member.role === fact.role)
    return refuse('ORCH_WRONG_STATE', `the role of ${member.name} is ${fact.role} already`)
  return OK
}

/** What is known here of the subject's writings counts by its role of before. Of this process's own only the giver of the input knows how many there are. */
function withSince<F extends Verb<'role'> | Verb<'remove'>>(state: NodeState, subject: NodeId, fact: F): F {
  const heads = state.board.judge!.heads(subject)
  return { ...fact, since: subject === state.me ? farther(heads, fact.since) : heads }
}

/** The roster moved: who may not work any more loses what it holds, this node too. */
export function followRoster(state: NodeState): void {
  if (!state.started) return
  const reason = state.board.takeStale()
  if (reason !== undefined) state.effect({ type: 'rebuild', reason })
  if (!state.board.takeRosterMoved()) return
  keepWorkers(state)
  if (state.record && state.may('observer')) putRecord(state, state.record)
  if (!state.may('worker')) return stopWork(state)
  for (const [node, held] of state.heldBy) {
    if (held.size > 0 && !state.roster!.can(node, 'worker')) voidHeld(state, node)
  }
}

/** Those who are there and may work; this node counts itself always. */
export function keepWorkers(state: NodeState): void {
  const { me, present, roster } = state
  const live = roster ? present.filter((node) => node === me || roster.can(node, 'worker')) : present
  state.live = live.includes(me) ? live : [...live, me]
}

function stopWork(state: NodeState): void {
  const reason = `the role of this node in the cluster is ${state.roster!.role(state.me)}: it may not work`
  for (const attempt of state.attempts.values()) {
    if (!attempt.stopping) releaseAttempt(state, attempt, reason, 'shutdown')
  }
  for (const task of [...state.bids.keys()]) dropBid(state, task)
}

/** What this node offers, told to all as soon as it is a member. */
export function putRecord(state: NodeState, record: NodeRecord): void {
  state.record = state.may('observer') ? undefined : record
  if (state.record) return
  const n = (state.board.nodes.get(state.me)?.n ?? 0) + 1
  state.put({ doc: CLUSTER_DOC, collection: 'nodes', key: `${state.me}/${n}`, body: record })
}
