/** What the board of this node says to machines that want to come in. */
import { type NodeId, shortNode } from '../core/id.ts'
import type { Admission } from '../net/join.ts'
import type { Address } from '../net/net.ts'
import type { Cluster } from './cluster.ts'
import type { Engine } from './engine.ts'
import { accepted } from './submit.ts'

/** @param running throws while the node has no life that could answer */
export function admissionOf(cluster: Cluster, running: () => Engine): Admission {
  const roster = () => running().state.roster
  return {
    card: () => {
      const { name, founder, nonce } = cluster.file
      return {
        cluster: cluster.id,
        clusterName: name,
        founder,
        nonce,
        members: knownAddresses(cluster, running()),
      }
    },
    role: (node) => roster()?.role(node) ?? 'none',
    invite: (id) => roster()?.invite(id),
    async admit(node, name, role, invite) {
      const fact = { verb: 'admit', role, name, ...(invite === undefined ? {} : { invite }) } as const
      const { reply, durable } = running().loop.post({ type: 'member', subject: node, fact })
      accepted(reply)
      await durable
      cluster.say('info', `${name} (${shortNode(node)}) is a member now: ${role}`)
      cluster.review()
    },
  }
}

/** This node first. */
function knownAddresses(
  { net }: Cluster,
  { state }: Engine,
): { node: NodeId; addresses: readonly Address[] }[] {
  const others = [...state.board.nodes].filter(([node]) => node !== state.me && state.roster?.isMember(node))
  return [
    { node: state.me, addresses: net.addresses() },
    ...others.map(([node, { value }]) => ({ node, addresses: value.addresses ?? [] })),
  ]
}
