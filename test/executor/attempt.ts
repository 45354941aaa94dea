/** What the tests of executors share: attempts in fresh directories, events collected, and proof that nothing is left running. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AttemptEvent, AttemptSpec } from '../../src/core/attempt.ts'
import { type AttemptId, attemptId } from '../../src/core/id.ts'
import type { TaskSpec } from '../../src/core/task.ts'
import { reportDir } from '../../src/executor/process-executor.ts'
import { findProcesses, signalAll } from '../../src/executor/session.ts'

const root = mkdtempSync(join(tmpdir(), 'ex-'))
const made: AttemptId[] = []

export function makeAttempt(task: Partial<TaskSpec>, over: Partial<AttemptSpec> = {}): AttemptSpec {
  const n = made.length + 1
  const slot = { run: 'run-1', task: `t${n}`, round: 1, epoch: 1 }
  const incarnation = `${process.pid}X${n}`.toUpperCase().padStart(26, '0')
  const id = attemptId(slot, incarnation)
  made.push(id)
  const dir = join(root, `a${n}`)
  const workspace = join(dir, 'workspace')
  mkdirSync(workspace, { recursive: true })
  const spec = {
    id,
    slot,
    task: { kind: 'shell', ...task },
    dir,
    workspace,
    timeoutMs: 0,
    hints: [],
    ...over,
  }
  const env = { PATH: process.env.PATH ?? '', ORCH_DIR: reportDir(spec as AttemptSpec), ...over.env }
  mkdirSync(env.ORCH_DIR, { recursive: true })
  return { ...spec, env }
}

export interface Collected {
  readonly events: AttemptEvent[]
  listener(event: AttemptEvent): void
  /** All text of `text` events, a line feed after each. */
  text(): string
  of<T extends AttemptEvent['type']>(type: T): Extract<AttemptEvent, { type: T }>[]
}

export function collect(): Collected {
  const events: AttemptEvent[] = []
  const of = <T extends AttemptEvent['type']>(type: T) =>
    events.filter((event): event is Extract<AttemptEvent, { type: T }> => event.type === type)
  return {
    events,
    listener: (event) => void events.push(event),
    text: () =>
      of('text')
        .map((event) => `${event.text}\n`)
        .join(''),
    of,
  }
}

/** Waits for a condition; fails with its name when it does not come true. */
export async function eventually(what: string, condition: () => boolean, ms = 20_000): Promise<void> {
  const until = performance.now() + ms
  while (!condition()) {
    if (performance.now() > until) throw new Error(`waited ${ms} ms for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Every process that carries the id of an attempt made here. */
function leftProcesses(): number[] {
  return made.flatMap((id) => findProcesses({ id }))
}

/** For `afterAll`: tells what was left, ends it, removes the directories. */
export function cleanUp(): number[] {
  const left = leftProcesses()
  signalAll(left, 'SIGKILL')
  rmSync(root, { recursive: true, force: true })
  return left
}
