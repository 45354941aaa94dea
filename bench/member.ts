/**
 * A member of a cluster in a process of its own: a node on the replicated board, over TCP on loopback, with a worker of kind `noop` when it is to work. Does what its parent asks,
 * one message each, and tells what its handlers do. Ends when its parent lets go of it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { taskInputs } from './payload.ts'
import { createWorkerExecutor, openNode } from './product.ts'
import { layered } from './w4.ts'

export interface MemberSettings {
  readonly dataDir: string
  readonly name: string
  /** A token to come in by; absent: it founds the cluster, or goes on with the one that its directory names. */
  readonly join?: string
  /** Handlers at once; 0 = it does not work. */
  readonly concurrency: number
  /** Of one task. */
  readonly taskMs: number
  /** Tells the parent of each start and end of a handler at once, not in lots. */
  readonly prompt: boolean
  /** It is ready when this run is finished on its board. */
  readonly run?: string
}

/** What its handlers did: kind, task, CLOCK_MONOTONIC in ms. */
export type Deed = readonly ['began' | 'ended', string, number]

export type MemberCall =
  | { readonly do: 'invite' }
  | { readonly do: 'live' }
  | { readonly do: 'submit'; readonly tasks: number; readonly plan: 'flat' | 'layers' }
  | { readonly do: 'finished'; readonly run: string }
  | { readonly do: 'audit'; readonly run: string }
  | { readonly do: 'usage' }

const settings = JSON.parse(process.argv[2]!) as MemberSettings
const { concurrency, taskMs, prompt } = settings
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6
const LOT_MS = 10
const INVITED_MAX = 32

let deeds: Deed[] = []
let isTold = true

/** A parent that is gone hears nothing any more: no fault of this process. */
function say(message: object): void {
  if (process.connected) process.send?.(message, () => {})
}

function tell(deed: Deed): void {
  deeds.push(deed)
  const send = (): void => {
    isTold = true
    say({ deeds })
    deeds = []
  }
  if (prompt) send()
  else if (isTold) {
    isTold = false
    setTimeout(send, LOT_MS)
  }
}

const worker = createWorkerExecutor({
  kind: 'noop',
  concurrency: Math.max(concurrency, 1),
  run: (task) => {
    tell(['began', task.id, nowMs()])
    if (taskMs === 0) return void tell(['ended', task.id, nowMs()])
    return sleep(taskMs).then(() => void tell(['ended', task.id, nowMs()]))
  },
})

const opening = nowMs()
const node = await openNode({
  dataDir: settings.dataDir,
  name: settings.name,
  backend: 'crdt',
  p2p: { listen: ['/ip4/127.0.0.1/tcp/0'], fixed: false },
  ...(settings.join === undefined ? {} : { join: [settings.join] }),
  executors: concurrency > 0 ? [worker] : [],
})

/** When each run was finished here, or who waits for it. */
const finished = new Map<string, number>()
const waiting = new Map<string, (at: number) => void>()
node.onBatch((batch) => {
  for (const fact of batch.facts) {
    if (fact.collection !== 'orders' || fact.body.verb !== 'close') continue
    finished.set(fact.doc, nowMs())
    waiting.get(fact.doc)?.(nowMs())
  }
})

/** At once when it is finished already. */
function finish(run: string): Promise<number> {
  const at = finished.get(run) ?? (node.engine.state.board.runs.get(run)?.finished ? nowMs() : undefined)
  if (at !== undefined) return Promise.resolve(at)
  return new Promise((resolve) => void waiting.set(run, resolve))
}

/** How often each task was accepted, and by how many nodes it was begun, as the board has it. */
async function audit(
  run: string,
): Promise<{ accepted: number; twice: number; done: number; starts: number }> {
  const accepts = new Map<string, Set<string>>()
  let starts = 0
  for await (const batch of node.engine.options.store.facts({ doc: run })) {
    for (const { collection, key, body } of batch.facts) {
      if (collection === 'starts') starts++
      if (collection !== 'accepts') continue
      const task = key.slice(0, key.indexOf('/'))
      const { epoch, by } = body as { readonly epoch: number; readonly by: string }
      accepts.set(task, (accepts.get(task) ?? new Set()).add(`${epoch} ${by}`))
    }
  }
  const tasks = await node.face.tasks({ run })
  return {
    accepted: accepts.size,
    twice: [...accepts.values()].filter((of) => of.size > 1).length,
    done: tasks.filter((task) => task.status === 'accepted').length,
    starts,
  }
}

async function answer(call: MemberCall): Promise<unknown> {
  switch (call.do) {
    case 'invite':
      return (await node.face.invite({ uses: INVITED_MAX })).token
    case 'live':
      return node.engine.state.live.length
    case 'submit': {
      const inputs = call.plan === 'layers' ? layered() : taskInputs(call.tasks)
      const at = nowMs()
      const { run } = await node.face.submit({
        name: 'bench',
        tasks: inputs.map(({ id, ...spec }) => [id, spec]),
        seal: true,
      })
      return { run, at, answeredMs: nowMs() - at }
    }
    case 'finished':
      return finish(call.run)
    case 'audit':
      return audit(call.run)
    case 'usage':
      return { cpu: process.cpuUsage(), rss: process.memoryUsage.rss(), at: nowMs() }
  }
}

process.on('message', ({ id, call }: { id: number; call: MemberCall }) => {
  answer(call).then(
    (value) => say({ id, value }),
    (error: Error) => say({ id, error: error.message }),
  )
})
process.on('disconnect', () => void node.close({ now: true }).finally(() => process.exit()))
if (settings.run !== undefined) await finish(settings.run)
say({ openedMs: nowMs() - opening })
