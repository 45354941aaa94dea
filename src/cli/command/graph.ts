/** `graph PLAN|RUN` */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import {
  formatGraph,
  GRAPH_FORMATS,
  type GraphFormat,
  type GraphTask,
  tasksOfPlan,
  viewGraph,
} from '../graph.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { looksLikeFile, readPlan, requirePlan } from '../plan-argument.ts'
import { elapsedMs } from '../run-model.ts'

interface GraphOptions {
  readonly format: GraphFormat
  readonly criticalPath?: boolean
}

export function addGraph(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'graph', 'show which task waits for which', [
      'orch-node graph plan.yaml',
      'orch-node graph add-tests-7f2a --format mermaid',
    ])
    .argument('<plan|run>', 'plan file, or run')
    .addOption(new Option('--format <format>', 'how it is drawn').choices(GRAPH_FORMATS).default('text'))
    .option('--critical-path', 'only the longest chain: what decides how long the run takes at least')
    .action(cli.act(graph))
}

async function graph(
  it: Invocation,
  name: string,
  { format, criticalPath = false }: GraphOptions,
): Promise<void> {
  const { out, world } = it
  const isFile = looksLikeFile(name) || existsSync(resolve(world.cwd, name))
  const view = viewGraph(isFile ? await ofPlan(name, world.cwd) : await ofRun(it, name))
  const data = criticalPath ? { criticalPath: view.criticalPath } : view
  const ids = () => (criticalPath ? view.criticalPath : view.tasks.map(({ id }) => id))
  if (format === 'json' && !out.json)
    return out.item({ data, text: () => JSON.stringify(data, null, 2), ids })
  await out.answer({
    data,
    text: () => formatGraph(view, format as Exclude<GraphFormat, 'json'>, criticalPath),
    ids,
  })
}

async function ofPlan(path: string, cwd: string): Promise<readonly GraphTask[]> {
  return tasksOfPlan(requirePlan(await readPlan({ path, cwd }), path))
}

async function ofRun(it: Invocation, run: string): Promise<readonly GraphTask[]> {
  const tasks = await it.use('passive', (face) => face.tasks({ run }))
  return tasks.map((task) => {
    const tookMs = task.status === 'accepted' ? elapsedMs(task, 0) : undefined
    return {
      id: task.id,
      needs: task.needs,
      status: task.status,
      ...(task.title !== undefined && { title: task.title }),
      ...(task.group !== undefined && { group: task.group }),
      ...(tookMs !== undefined && { tookMs }),
    }
  })
}
