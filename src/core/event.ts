/**
 * The nine events of a task (R80), derived from facts as they are read in the order of the journal: there is one truth, and this is how it reads as a story.
 */
import type { Handoff } from './attempt.ts'
import { type Batch, isFailure, type RunHeader, readSlotKey, readVersionKey } from './fact.ts'
import { CLUSTER_DOC, type NodeId, type RunId, type TaskId, type WallMs } from './id.ts'

interface At {
  readonly at: WallMs
  readonly run: RunId
  readonly task: TaskId
}

export type TaskEvent =
  | (At & { readonly type: 'created'; readonly createdBy: NodeId; readonly title?: string })
  | (At & {
      readonly type: 'assigned'
      readonly agent: NodeId
      readonly round: number
      readonly epoch: number
    })
  | (At & {
      readonly type: 'started'
      readonly agent: NodeId
      readonly round: number
      readonly epoch: number
    })
  | (At & { readonly type: 'progress-updated'; readonly agent: NodeId; readonly handoff: Handoff })
  | (At & { readonly type: 'blocked'; readonly blockers: readonly TaskId[]; readonly reason: string })
  | (At & { readonly type: 'unblocked' })
  | (At & {
      readonly type: 'completed'
      readonly agent: NodeId
      readonly commit?: string
      readonly position: number
    })
  | (At & { readonly type: 'failed'; readonly agent: NodeId; readonly error: string })
  | (At & {
      readonly type: 'reassigned'
      readonly from: NodeId
      readonly to: NodeId
      readonly reason: string
    })

export type TaskEventType = TaskEvent['type']
export const TASK_EVENT_TYPES = [
  'created',
  'assigned',
  'started',
  'progress-updated',
  'blocked',
  'unblocked',
  'completed',
  'failed',
  'reassigned',
] as const satisfies readonly TaskEventType[]

/** Events that ask for a person's eye. */
export function isProblem(event: TaskEvent): boolean {
  return event.type === 'failed' || event.type === 'blocked' || event.type === 'reassigned'
}

interface Last {
  readonly agent: NodeId
  readonly round: number
  readonly epoch: number
  reason: string
  assigned: boolean
}

/** Turns batches into events, remembering only who had each unfinished task last. */
export function createEventDeriver(): (batch: Batch) => readonly TaskEvent[] {
  const last = new Map<string, Last>()
  const header = new Map<RunId, RunHeader>()
  const adopted = new Map<RunId, Set<NodeId>>()
  const integrates = (run: RunId, node: NodeId): boolean =>
    (header.get(run)?.integrator ?? node) === node || adopted.get(run)?.has(node) === true
  return (batch) => {
    const events: TaskEvent[] = []
    const { at, author } = batch
    for (const fact of batch.facts) {
      const run = fact.doc
      if (run === CLUSTER_DOC) continue
      const slot = readSlotKey(run, fact.key)
      const key = `${run}/${slot?.task ?? ''}`
      switch (fact.collection) {
        case 'runs':
          if ('integrator' in fact.body && fact.body.creator === author.node) header.set(run, fact.body)
          break
        case 'specs':
          if ((header.get(run)?.creator ?? author.node) !== author.node) break
          events.push({
            at,
            run,
            task: fact.key,
            type: 'created',
            createdBy: author.node,
            ...(fact.body.title ? { title: fact.body.title } : {}),
          })
          break
        case 'claims':
        case 'starts': {
          if (!slot) break
          const { task, round, epoch } = slot
          const before = last.get(key)
          const same = before?.agent === author.node && before.round === round && before.epoch === epoch
          if (!same) {
            if (before && (before.round !== round || before.epoch !== epoch)) {
              events.push({
                at,
                run,
                task,
                type: 'reassigned',
                from: before.agent,
                to: author.node,
                reason: before.reason || 'a new attempt',
              })
            }
            events.push({ at, run, task, type: 'assigned', agent: author.node, round, epoch })
            last.set(key, { agent: author.node, round, epoch, reason: '', assigned: true })
          }
          if (fact.collection === 'starts')
            events.push({ at, run, task, type: 'started', agent: author.node, round, epoch })
          break
        }
        case 'results': {
          if (!slot) break
          const { task } = slot
          const { handoff, outcome, reason } = fact.body
          if (handoff) events.push({ at, run, task, type: 'progress-updated', agent: author.node, handoff })
          if (isFailure(outcome))
            events.push({ at, run, task, type: 'failed', agent: author.node, error: reason ?? outcome })
          const before = last.get(key)
          if (before && outcome !== 'done') before.reason = reason ?? outcome
          break
        }
        case 'voids': {
          const before = last.get(key)
          if (before && before.reason === '') before.reason = fact.body.why
          break
        }
        case 'accepts':
          if (!slot || !integrates(run, author.node)) break
          events.push({
            at,
            run,
            task: slot.task,
            type: 'completed',
            agent: fact.body.by,
            position: fact.body.position,
            ...(fact.body.commit ? { commit: fact.body.commit } : {}),
          })
          last.delete(key)
          break
        case 'rejects': {
          if (!slot || !integrates(run, author.node)) break
          const { why, reason } = fact.body
          events.push({
            at,
            run,
            task: slot.task,
            type: 'failed',
            agent: slot.rest ?? author.node,
            error: `${why}: ${reason}`,
          })
          const before = last.get(key)
          if (before) before.reason = `${why}: ${reason}`
          break
        }
        case 'orders': {
          const version = readVersionKey(fact.key)
          if (version?.subject === '*' && fact.body.verb === 'adopt')
            adopted.set(run, (adopted.get(run) ?? new Set()).add(author.node))
          if (!version || version.subject === '*') break
          const task = version.subject
          if (fact.body.verb === 'block') {
            events.push({
              at,
              run,
              task,
              type: 'blocked',
              blockers: fact.body.blockers ?? [],
              reason: fact.body.reason,
            })
          } else if (fact.body.verb === 'unblock') events.push({ at, run, task, type: 'unblocked' })
          break
        }
        default:
      }
    }
    return events
  }
}
