/** Where the files of attempts lie: `<dir>/<node>/<run>/<task>/<round>.<epoch>-<last 6 of incarnation>.jsonl`. */
import { mkdir, open, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { assert } from '../core/error.ts'
import { type AttemptId, type NodeId, type RunId, readAttemptId, type TaskId } from '../core/id.ts'
import { type LoggedEvent, readEvents } from './attempt-file.ts'

/** A task of a run: all its attempts. */
export interface TaskName {
  readonly run: RunId
  readonly task: TaskId
}

export function attemptPath(dir: string, node: NodeId, attempt: AttemptId): string {
  const id = readAttemptId(attempt)
  assert(id, `an attempt id, not ${attempt}`)
  return join(dir, node, id.run, id.task, `${id.round}.${id.epoch}-${id.incarnation.slice(-6)}.jsonl`)
}

/** Events of one attempt or of all of a task, once `flushed`; by every author, oldest round and epoch first. */
export async function* readAttempts(
  dir: string,
  of: AttemptId | TaskName,
  since: number,
  flushed: Promise<void>,
): AsyncGenerator<LoggedEvent> {
  await flushed
  const nodes = (await list(dir)).toSorted()
  if (typeof of === 'string') {
    for (const node of nodes) yield* readEvents(attemptPath(dir, node, of), node, of, since)
    return
  }
  const files: { node: NodeId; name: string; round: number; epoch: number }[] = []
  for (const node of nodes) {
    for (const name of await list(join(dir, node, of.run, of.task))) {
      const match = /^(\d+)\.(\d+)-[0-9A-Z]{6}\.jsonl$/.exec(name)
      if (match) files.push({ node, name, round: Number(match[1]), epoch: Number(match[2]) })
    }
  }
  files.sort((a, b) => a.round - b.round || a.epoch - b.epoch)
  for (const { node, name } of files) {
    const attempt = `${of.run}/${of.task}/${name.slice(0, -'.jsonl'.length)}`
    yield* readEvents(join(dir, node, of.run, of.task, name), node, attempt, since)
  }
}

/** Appends to a file, made with its directories when it is not there. */
export async function appendText(path: string, text: string): Promise<void> {
  let file: Awaited<ReturnType<typeof open>>
  try {
    file = await open(path, 'a', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    file = await open(path, 'a', 0o600)
  }
  try {
    await file.writeFile(text)
  } finally {
    await file.close()
  }
}

/** Names in a directory; none when it is not there. */
async function list(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw error
  }
}
