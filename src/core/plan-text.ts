/** Checks of the texts of a task: what a process, a file name or a terminal could not take. */
import { parseGlob } from './glob-pattern.ts'
import type { TaskId } from './id.ts'
import * as limit from './limit.ts'
import { quote, type RefusalList } from './plan-refusal.ts'
import type { TaskSpec } from './task.ts'

/** Globs that were read before: the reason why not, or `undefined` for good ones. */
export type GlobMemory = Map<string, { reason: string; hint?: string } | undefined>

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const CONTROL = /\p{Cc}/u

export function checkTitle(refusals: RefusalList, id: TaskId, title: string): void {
  const path = ['tasks', id, 'title']
  if (title.length > limit.TITLE_CHARS_MAX) {
    refusals.error(
      path,
      'too-long',
      `title has ${title.length} characters; at most ${limit.TITLE_CHARS_MAX} are taken`,
    )
  } else if (title.trim() === '') refusals.error(path, 'empty', 'title is empty')
  else if (CONTROL.test(title))
    refusals.error(path, 'bad-text', 'title must be one line without control characters')
}

export function checkCommand(refusals: RefusalList, id: TaskId, field: string, text: string): void {
  const bytes = bytesOf(text, limit.COMMAND_BYTES_MAX)
  if (bytes > limit.COMMAND_BYTES_MAX) {
    refusals.error(
      ['tasks', id, field],
      'too-long',
      `${field} has ${bytes} bytes; at most ${limit.COMMAND_BYTES_MAX} are taken`,
    )
  } else if (text.trim() === '') refusals.error(['tasks', id, field], 'empty', `${field} is empty`)
  else if (text.includes('\0'))
    refusals.error(['tasks', id, field], 'bad-text', `${field} has a NUL character`)
}

export function checkGlobs(
  refusals: RefusalList,
  seen: GlobMemory,
  id: TaskId,
  field: 'write' | 'read',
  list: readonly string[],
): void {
  if (list.length > limit.SCOPE_GLOBS_MAX) {
    const message = `scope.${field} has ${list.length} patterns; at most ${limit.SCOPE_GLOBS_MAX} are taken`
    refusals.error(['tasks', id, 'scope', field], 'too-many', message, 'name directories: src/**')
  }
  for (let k = 0; k < list.length; k++) {
    const glob = list[k]!
    if (!seen.has(glob)) {
      const reading = parseGlob(glob)
      seen.set(glob, reading.ok ? undefined : reading)
    }
    const bad = seen.get(glob)
    if (bad)
      refusals.error(
        ['tasks', id, 'scope', field, k],
        'bad-glob',
        `pattern ${quote(glob)} cannot be used: ${bad.reason}`,
        bad.hint,
      )
  }
}

export function checkEnv(refusals: RefusalList, id: TaskId, env: NonNullable<TaskSpec['env']>): void {
  for (const [name, value] of Object.entries(env)) {
    const path = ['tasks', id, 'env', name]
    if (!ENV_NAME.test(name))
      refusals.error(path, 'bad-name', `${quote(name)} cannot be the name of an environment variable`)
    else if (name.startsWith('ORCH_'))
      refusals.error(
        path,
        'reserved',
        `${name} is set by the node`,
        'choose a name that does not begin with ORCH_',
      )
    if (value.includes('\0')) refusals.error(path, 'bad-text', `${quote(name)} has a NUL character`)
    const bytes = bytesOf(value, limit.COMMAND_BYTES_MAX)
    if (bytes > limit.COMMAND_BYTES_MAX) {
      refusals.error(
        path,
        'too-long',
        `${quote(name)} has ${bytes} bytes; at most ${limit.COMMAND_BYTES_MAX} are taken`,
      )
    }
  }
}

/** Length in UTF-8; exact only when it may exceed `max`. */
function bytesOf(text: string, max: number): number {
  if (text.length * 3 <= max) return text.length
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    // Each half of a surrogate pair counts two.
    bytes += c < 0x80 ? 1 : c < 0x800 || (c >= 0xd800 && c <= 0xdfff) ? 2 : 3
  }
  return bytes
}
