/** `progress`, `complete`, `fail`, `block`: what a worker says of its own attempt. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Handoff } from '../../core/attempt.ts'
import type { Json } from '../../core/task.ts'
import type { NodeFace, TaskSummary } from '../../node/face.ts'
import { usage } from '../failure.ts'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { line } from '../text.ts'
import { collect, countOf } from './option.ts'
import { type OwnAttempt, ownAttempt } from './own-attempt.ts'

const ID = 'task; default: the own one inside an attempt, else the only one that is claimed'

interface ProgressOptions {
  readonly step?: string
  readonly status?: string
  readonly handoff?: string
}

export function addReports(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'progress', 'say how far the own attempt is; prints hints that came in', [
      'orch-node progress --step 3 --status "writing tests"',
      'orch-node progress math --handoff handoff.json',
    ])
    .argument('[id]', ID)
    .option('--step <n>', 'number of the step')
    .option('--status <text>', 'one line')
    .option('--handoff <file>', 'JSON file for whoever goes on: current_focus, progress, next_steps, …')
    .action(cli.act(progress))
  cli
    .command(
      parent,
      'complete',
      'the work of the own attempt is done: what differs in the workspace is the result',
      ['orch-node complete', 'orch-node complete math --summary "12 tests added"'],
    )
    .argument('[id]', ID)
    .option('--summary <text>', 'what was done')
    .option('--value <json>', 'result value, as JSON')
    .action(
      cli.act(
        async (
          it,
          id: string | undefined,
          { summary, value }: { readonly summary?: string; readonly value?: string },
        ) => {
          const parsed = value === undefined ? undefined : parseJson(value, '--value')
          await end(it, id, (face, own) => face.complete(given({ ...own, summary, value: parsed })))
        },
      ),
    )
  cli
    .command(parent, 'fail', 'the own attempt failed: it may be tried again', [
      'orch-node fail --reason "the API is down"',
    ])
    .argument('[id]', ID)
    .requiredOption('--reason <text>', 'why')
    .action(
      cli.act((it, id: string | undefined, { reason }: { readonly reason: string }) =>
        end(it, id, (face, own) => face.fail({ ...own, reason })),
      ),
    )
  cli
    .command(parent, 'block', 'the own attempt cannot go on until something is settled', [
      'orch-node block --reason "needs a decision on the schema"',
    ])
    .argument('[id]', ID)
    .requiredOption('--reason <text>', 'what must be settled')
    .option('--on <task>', 'task of the run that must come first; may be given more than once', collect)
    .action(
      cli.act(
        (
          it,
          id: string | undefined,
          { reason, on }: { readonly reason: string; readonly on?: readonly string[] },
        ) => end(it, id, (face, own) => face.block(given({ ...own, reason, blockers: on }))),
      ),
    )
}

async function progress(it: Invocation, id: string | undefined, options: ProgressOptions): Promise<void> {
  const { out, world } = it
  const own = ownAttempt(world.env, id)
  const step = options.step === undefined ? undefined : countOf(options.step, '--step')
  const handoff =
    options.handoff === undefined
      ? undefined
      : await readHandoff(resolve(world.cwd, options.handoff), options.handoff)
  const { hints } = await it.use('passive', (face) =>
    face.progress(given({ ...own, step, status: options.status, handoff })),
  )
  await out.answer({ data: { hints }, text: () => hints.map((hint) => `hint: ${line(hint)}`).join('\n') })
}

async function readHandoff(path: string, name: string): Promise<Handoff> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw usage(`${name} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  // Its shape is judged by the node.
  return parseJson(text, name) as unknown as Handoff
}

function parseJson(text: string, name: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    throw usage(`${name} is not JSON: ${(error as Error).message}`)
  }
}

async function end(
  it: Invocation,
  id: string | undefined,
  report: (face: NodeFace, own: OwnAttempt) => Promise<TaskSummary>,
): Promise<void> {
  const own = ownAttempt(it.world.env, id)
  const task = await it.use('passive', (face) => report(face, own))
  const name = `${task.run}/${task.id}`
  await it.out.answer({
    data: task,
    text: () => `${name} is ${task.status}${task.reason ? `: ${line(task.reason)}` : ''}`,
    ids: () => [name],
  })
}
