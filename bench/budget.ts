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
}

export const SETTINGS: Readonly<Record<string, string | number>> = {
  backend: 'file, fdatasync before every acknowledgement',
  'bytes of a payload': JSON.stringify(PAYLOAD).length,
  'handlers at once': CONCURRENCY,
}
