/** Members as people see them: what the board says of each, and what this node hears of it. */
import type { Member } from '../core/roster.ts'
import type { Cluster } from './cluster.ts'
import type { Engine } from './engine.ts'
import type { MemberItem } from './face.ts'

export function memberItems(engine: Engine, cluster: Cluster): MemberItem[] {
  return (engine.state.roster?.members() ?? []).map((member) => itemOf(member, engine, cluster))
}

function itemOf(member: Member, engine: Engine, cluster: Cluster): MemberItem {
  const { state } = engine
  const { node, name, role } = member
  const record = state.board.nodes.get(node)?.value
  const roundTripMs = cluster.net.roundTripMs(node)
  const isSelf = node === state.me
  return {
    node,
    name: record?.name ?? name,
    role: role === 'none' ? 'observer' : role,
    state: role === 'none' ? 'removed' : isSelf ? 'self' : cluster.stateOf(node),
    ...(record ? { slots: record.slots, version: record.version } : {}),
    running: isSelf ? state.attempts.size : (state.heldBy.get(node)?.size ?? 0),
    draining: isSelf ? state.draining : (record?.draining ?? false),
    ...(record?.capabilities ? { capabilities: record.capabilities } : {}),
    ...(roundTripMs === undefined ? {} : { roundTripMs }),
    addresses: isSelf ? cluster.net.addresses() : (record?.addresses ?? []),
  }
}
