/** Opens the network of a node: on the ports that were asked for, or the next free ones. */
import { isOrchError } from '../core/error.ts'
import { PORTS_TRIED_MAX } from '../core/limit.ts'
import { BEAT_TOPIC } from '../net/beat.ts'
import { BOARD_TOPIC } from '../net/gossip.ts'
import type { Address, Net } from '../net/net.ts'
import { VERSION } from '../version.ts'
import type { NetRequest, NodeConfig } from './node-config.ts'

/** @throws ORCH_PORT_TAKEN when all of the ports are, or the fixed one is; ORCH_USAGE an address that is none */
export async function openNet(config: NodeConfig, request: NetRequest): Promise<Net> {
  if (config.openNet) return config.openNet(request)
  // Loaded when it is needed: one machine alone never waits for it.
  const { createLibp2pNet } = await import('../net/libp2p.ts')
  const tries = (config.p2p?.fixed ?? true) ? 1 : PORTS_TRIED_MAX
  for (let k = 0; ; k++) {
    try {
      return await createLibp2pNet({
        ...request,
        listen: request.listen.map((address) => shifted(address, k)),
        version: VERSION,
        topics: [BEAT_TOPIC, BOARD_TOPIC],
      })
    } catch (error) {
      if (!isOrchError(error) || error.code !== 'ORCH_PORT_TAKEN' || k + 1 >= tries) throw error
    }
  }
}

function shifted(address: Address, by: number): Address {
  return address.replace(/\/tcp\/(\d+)/, (whole, port: string) =>
    port === '0' ? whole : `/tcp/${Number(port) + by}`,
  )
}
