/** A node in the process of a command. */
import { hostname } from 'node:os'
import { type Served, serve } from '../api/serve.ts'
import type { Profile } from '../config/profile.ts'
import { isOrchError } from '../core/error.ts'
import type { RunId } from '../core/id.ts'
import type { JoinUpdate } from '../node/face.ts'
import { openNode } from '../node/node.ts'
import type { NodeConfig } from '../node/node-config.ts'
import type { Connection, ConnectRequest, Host } from './connection.ts'
import { withProfile } from './profile.ts'
import type { Settings } from './settings.ts'

/** Works, and listens for others. `http` of the settings, when set, is the port or none. */
export async function openHost(request: ConnectRequest): Promise<Connection & { readonly host: Host }> {
  const { settings, profile } = await withProfile(request.settings, process.cwd())
  const foreign = new Set<RunId>()
  let served: Served | undefined
  let open!: () => void
  const ready = new Promise<void>((resolve) => {
    open = resolve
  })
  const port = settings.http.value
  try {
    const node = await openNode({
      ...configOf(settings, profile, request.log),
      ...publicOf(settings, request.onJoin),
      listen: async (opening) => {
        served = await serve(opening, {
          ready,
          onSubmit: (run) => foreign.add(run),
          ...(port !== undefined && { httpPort: port, fixed: port !== 0 }),
        })
      },
    })
    open()
    await served!.announced
    const closed = node.closed.then(() => served!.close())
    return {
      face: node.face,
      host: { url: served!.url, foreign, closed, stopNow: () => node.close({ now: true }) },
      async close() {
        await node.close()
        await closed
      },
    }
  } catch (error) {
    await served?.close()
    throw error
  }
}

/** A command that only looks holds the directory for a moment: worth a few tries before a new node gives up. */
const LOCK_MS_MAX = 3_000
const LOCK_LOOK_MS = 100

/** @throws ORCH_LOCKED when the directory stays taken */
export async function openHostPatiently(request: ConnectRequest): ReturnType<typeof openHost> {
  const deadline = performance.now() + LOCK_MS_MAX
  for (;;) {
    try {
      return await openHost(request)
    } catch (error) {
      if (!isOrchError(error) || error.code !== 'ORCH_LOCKED' || performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, LOCK_LOOK_MS))
    }
  }
}

/** For one command: reads and writes the board, starts nothing, listens for nobody. */
export async function openPassive(request: ConnectRequest): Promise<Connection> {
  const { settings, profile } = await withProfile(request.settings, process.cwd())
  // Held before it begins: what still runs from before goes on, nothing new does, unless a worker outside claims it.
  const node = await openNode({
    ...configOf(settings, profile, request.log),
    listen: (opening) => opening.hold('no node runs: start one with `orch-node start`'),
  })
  return { face: node.face, passive: true, close: () => node.close({ leave: true }) }
}

/** What it offers, where others reach it, and whom it joins. A node of one command alone has none of it; `--cap` of `claim` is not about the node. */
function publicOf({ capabilities, listen, join, name }: Settings, onJoin: ConnectRequest['onJoin']) {
  return {
    capabilities: capabilities.value,
    p2p: { listen: listen.value, fixed: listen.origin !== 'default' },
    ...(join.value.length > 0 && { join: join.value }),
    ...(onJoin && { onJoin: (update: JoinUpdate) => onJoin(update, name.value ?? hostname()) }),
  }
}

function configOf(settings: Settings, profile: Profile, log: ConnectRequest['log']): NodeConfig {
  const { backend, dataDir, slots, name } = settings
  const { capabilities, capacity, stallMs, pendingTasksMax, keepEnv } = profile
  return {
    dataDir: dataDir.value,
    ...(backend.value !== undefined && { backend: backend.value }),
    slots: slots.value,
    ...(name.value !== undefined && { name: name.value }),
    ...(capabilities && { capabilities }),
    ...(capacity && { capacity }),
    ...(stallMs !== undefined && { stallMs }),
    ...(pendingTasksMax !== undefined && { pendingTasksMax }),
    ...(keepEnv && { keepEnv }),
    ...(log && { log }),
  }
}
