/** What DESIGN 12 promises, by bench and figure: `must` is kept, `aim` is where the machine's limit lets us go. */
import { CONCURRENCY, PAYLOAD } from './payload.ts'
import type { Goal } from './report.ts'

export const GOALS: Readonly<Record<string, Readonly<Record<string, Goal>>>> = {
  w1: {
    'end to end': { must: 16_000, aim: 30_000 },
    'bulk enqueue': { must: 60_000, aim: 115_000 },
    'end to end, 50,000 tasks': { must: 16_000, aim: 30_000 },
    'bulk enqueue, 50,000 tasks': { must: 60_000, aim: 115_000 },
  },
  w2: {
    'submit to handler start, p50': { must: 0.55, aim: 0.3 },
    'the same p99 above the p99 of fdatasync alone': { must: 0.5 },
  },
  w4: { '10 x 100 tasks, submit to end': { must: 200, aim: 130 } },
  plan: {
    'plan 1k: validate, layers, critical path': { must: 5, aim: 2 },
    'plan 100k: validate, layers, critical path': { must: 200, aim: 100 },
    'plan 1M: validate, layers, critical path': { must: 3_000, aim: 2_000 },
  },
  restart: {
    'open with 100,000 finished tasks': { must: 4_000, aim: 2_000 },
    'open with 100,000 waiting tasks': { must: 4_000, aim: 2_000 },
  },
  idle: { 'CPU over 20 s': { must: 0.5 } },
  w3: {
    '1000 tasks, 16 processes': { must: 3_000, aim: 5_000 },
    '5 of 16 stand still for 12 s: tasks accepted twice': { must: 0 },
  },
  w5: {
    'kill -9, 3 nodes: first task starts elsewhere': { must: 1, aim: 0.3 },
    'kill -9, 2 nodes: first task starts elsewhere': { must: 1, aim: 0.3 },
    'silent cut, 3 nodes: first task starts elsewhere': { must: 10 },
    'silent cut, 2 nodes: first task starts elsewhere': { must: 25 },
  },
  w6: {
    'write to seen, p50': { must: 1.5, aim: 0.8 },
    'write to seen, p99': { must: 5 },
    'burst, seen by the other': { must: 11_000, aim: 22_000 },
    'fresh replica has 10,000 values': { must: 250, aim: 100 },
  },
  'w1-cluster': { '10,000 tasks, one node': { must: 16_000, aim: 30_000 } },
  'w4-cluster': { '10 x 100 tasks, one node': { must: 200, aim: 130 } },
  'restart-cluster': {
    'open with 100,000 finished tasks': { must: 4_000, aim: 2_000 },
    'open with 100,000 waiting tasks': { must: 4_000, aim: 2_000 },
  },
  join: { 'run of 10,000 tasks: from start to an equal board': { must: 10_000 } },
  nodes100: {
    'claims and starts a task, 100 idle workers': { must: 1.15 },
    'beats heard by a node': { must: 150 },
    'CPU of a node while idle': { must: 3 },
  },
  idle3: {
    'each of 3 members: CPU over 60 s': { must: 1 },
    'each of 3 members: memory': { must: 150 },
  },
}

export const SETTINGS: Readonly<Record<string, string | number>> = {
  backend:
    'file, fdatasync before every acknowledgement; crdt (cluster, w3, w5, w6, join, nodes100, idle3): LevelDB, synced before it is sent',
  'bytes of a payload': JSON.stringify(PAYLOAD).length,
  'handlers at once': CONCURRENCY,
}
