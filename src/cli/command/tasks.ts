/** `tasks [RUN] --where …` */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { count, showDuration } from '../quantity.ts'
import { elapsedMs } from '../run-model.ts'
import { markOf, paintStatus } from '../style.ts'
import { formatTable } from '../table.ts'
import { line } from '../text.ts'
import { parseWhere } from '../where.ts'
import { countOf } from './option.ts'

interface TasksOptions {
  readonly where?: string
  readonly limit?: string
}

export function addTasks(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'tasks', 'list the tasks of a run', [
      'orch-node tasks',
      "orch-node tasks add-tests --where 'status=ready and priority>=high and title~api'",
    ])
    .argument('[run]', 'default: the latest')
    .option('--where <condition>', 'comparisons (= != < <= > >= ~) of fields, joined by "and"')
    .option('--limit <n>', 'at most so many')
    .action(cli.act(tasks))
}

async function tasks(it: Invocation, run: string | undefined, options: TasksOptions): Promise<void> {
  const { out, world } = it
  const matches = options.where === undefined ? () => true : parseWhere(options.where)
  const limit = options.limit === undefined ? Number.POSITIVE_INFINITY : countOf(options.limit, '--limit')
  const all = await it.use('passive', (face) =>
    face.tasks(
      given({ run, limit: options.where === undefined && Number.isFinite(limit) ? limit : undefined }),
    ),
  )
  const found = all.filter(matches).slice(0, limit)
  await out.answer({
    data: found,
    ids: () => found.map((task) => `${task.run}/${task.id}`),
    text: () => {
      if (found.length === 0) return options.where === undefined ? 'the run has no task yet' : 'no task is so'
      const paint = (cell: string, row: number) => paintStatus(out.style, found[row]!.status)(cell)
      return formatTable(
        [
          { title: '', paint },
          { title: 'task' },
          { title: 'status', paint },
          { title: 'priority' },
          { title: 'holder' },
          { title: 'time', side: 'right' },
          { title: 'about', flexible: true },
        ],
        found.map((task) => {
          const ms = task.attempts > 0 ? elapsedMs(task, world.now()) : undefined
          const about =
            task.reason ??
            task.activity ??
            task.title ??
            (task.files === undefined ? '' : count(task.files, 'file'))
          return [
            markOf(task.status),
            task.id,
            task.status,
            task.priority,
            line(task.holder ?? ''),
            ms === undefined ? '' : showDuration(ms),
            line(about),
          ]
        }),
        out.columns,
      )
    },
  })
}
