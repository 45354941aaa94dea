/** `task show|logs|diff|cancel|retry|release|prioritize|pause|resume|unblock` */
import type { Command } from 'commander'
import { PRIORITIES } from '../../core/task.ts'
import type { NodeFace } from '../../node/face.ts'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { formatTask } from '../task-page.ts'
import { createStripper, safe } from '../text.ts'
import { countOf, priorityOf } from './option.ts'
import { ownAttempt } from './own-attempt.ts'

const ID = 'RUN/TASK, or TASK of the latest run, or a unique beginning of either'

export function addTask(parent: Command, cli: Cli): void {
  const task = cli.command(parent, 'task', 'show one task, its output and its changes; steer it', [
    'orch-node task show math',
    'orch-node task logs -f math',
  ])
  const on = (name: string, summary: string, examples: readonly string[]) =>
    cli.command(task, name, summary, examples)

  on('show', 'show a task with its attempts', ['orch-node task show add-tests/math'])
    .argument('<id>', ID)
    .action(cli.act(show))
  on('logs', 'print the output of a task', ['orch-node task logs math', 'orch-node task logs -f math'])
    .argument('<id>', ID)
    .option('-f, --follow', 'go on until it ends')
    .option('--attempt <attempt>', 'of this attempt; default: the latest')
    .option('--offset <bytes>', 'from this byte on')
    .action(cli.act(logs))
  on('diff', 'print what a task changed', ['orch-node task diff math', 'orch-node task diff --stat math'])
    .argument('<id>', ID)
    .option('--stat', 'only which files, and how much')
    .option('--attempt <attempt>', 'of this attempt; default: the result that counts')
    .action(cli.act(diff))
  on('cancel', 'cancel a task: it is stopped and its work kept under a ref', ['orch-node task cancel math'])
    .argument('<id>', ID)
    .option('--reason <text>', 'why, for the record')
    .action(
      cli.act((it, id: string, { reason }: { readonly reason?: string }) =>
        order(it, id, 'cancelled', (face, task) => face.cancel(given({ task, reason }))),
      ),
    )
  on('retry', 'start a task afresh, with new tries', [
    'orch-node task retry math --hint "use the fixtures of test/data"',
  ])
    .argument('<id>', ID)
    .option('--hint <text>', 'told to the next attempt')
    .option('--reason <text>', 'why, for the record')
    .action(
      cli.act((it, id: string, { hint, reason }: { readonly hint?: string; readonly reason?: string }) =>
        order(it, id, 'starts afresh', (face, task) => face.retry(given({ task, hint, reason }))),
      ),
    )
  on('release', 'give a running task back: its work so far is kept, it becomes ready', [
    'orch-node task release math',
  ])
    .argument('[id]', `${ID}; default: the own one inside an attempt, else the only one that is claimed`)
    .option('--reason <text>', 'why, for the record')
    .action(cli.act(release))
  on('prioritize', 'change how urgent a task is', ['orch-node task prioritize math critical'])
    .argument('<id>', ID)
    .argument('<priority>', PRIORITIES.join(', '))
    .action(
      cli.act((it, id: string, text: string) => {
        const priority = priorityOf(text)
        return order(it, id, `has priority ${priority}`, (face, task) => face.prioritize({ task, priority }))
      }),
    )
  on('pause', 'do not start a task', ['orch-node task pause math'])
    .argument('<id>', ID)
    .option('--reason <text>', 'why, for the record')
    .action(
      cli.act((it, id: string, { reason }: { readonly reason?: string }) =>
        order(it, id, 'paused', (face, task) => face.pause(given({ task, reason }))),
      ),
    )
  on('resume', 'let a paused task start again', ['orch-node task resume math'])
    .argument('<id>', ID)
    .action(cli.act((it, id: string) => order(it, id, 'resumed', (face, task) => face.resume({ task }))))
  on('unblock', 'what blocked a task is settled', ['orch-node task unblock math'])
    .argument('<id>', ID)
    .action(cli.act((it, id: string) => order(it, id, 'unblocked', (face, task) => face.unblock({ task }))))
}

async function show(it: Invocation, id: string): Promise<void> {
  const { out, world } = it
  const task = await it.use('passive', (face) => face.task({ task: id }))
  await out.answer({
    data: task,
    text: () => formatTask(task, world.now(), out.style, out.columns),
    ids: () => [`${task.run}/${task.id}`],
  })
}

interface LogsOptions {
  readonly follow?: boolean
  readonly attempt?: string
  readonly offset?: string
}

async function logs(it: Invocation, task: string, options: LogsOptions): Promise<number> {
  const { out, world } = it
  const offset = options.offset === undefined ? undefined : countOf(options.offset, '--offset')
  const abort = new AbortController()
  const unlisten = world.onInterrupt(() => abort.abort())
  // A character or a control sequence may be cut between two chunks.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const strip = createStripper()
  try {
    await it.use('passive', async (face) => {
      const chunks = face.logs(
        given({ task, attempt: options.attempt, offset, follow: options.follow }),
        abort.signal,
      )
      for await (const chunk of chunks) {
        if (out.json) await out.item({ data: chunk, text: () => '' })
        else
          await out.raw(Buffer.from(chunk.data, 'base64'), (bytes) =>
            strip(decoder.decode(bytes, { stream: true })),
          )
      }
    })
  } finally {
    unlisten()
  }
  return abort.signal.aborted ? 130 : 0
}

async function diff(
  it: Invocation,
  task: string,
  { stat, attempt }: { readonly stat?: boolean; readonly attempt?: string },
): Promise<void> {
  const { out, world } = it
  const answer = await it.use('passive', (face) => face.diff(given({ task, stat, attempt })))
  // A patch in a pipe must apply: there it stays as it is.
  const shown = world.stdout.isTerminal ? safe : (text: string) => text
  await out.answer({ data: answer, text: () => shown(answer.diff), ids: () => [] })
}

async function release(
  it: Invocation,
  id: string | undefined,
  { reason }: { readonly reason?: string },
): Promise<void> {
  await it.use('never', async (face) => {
    const own = ownAttempt(it.world.env, id)
    await face.release(given({ ...own, reason }))
    await it.out.answer({
      data: own,
      text: () => `${own.task ?? own.attempt ?? 'the claimed task'} given back`,
      ids: () => (own.task ? [own.task] : []),
    })
  })
}

async function order(
  it: Invocation,
  id: string,
  done: string,
  give: (face: NodeFace, task: string) => Promise<void>,
): Promise<void> {
  await it.use('passive', async (face) => {
    // The name is looked up once, so that the answer says what it was taken for.
    const found = await face.task({ task: id })
    const name = `${found.run}/${found.id}`
    await give(face, name)
    await it.out.answer({ data: { task: name }, text: () => `${name} ${done}`, ids: () => [name] })
  })
}
