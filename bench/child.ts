/** Benches in processes of their own: a message tells when one is ready, another what it found. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const WAIT_MS_MAX = 120_000

/** Starts `file` of this folder under the loader that runs this process. */
export function startChild(file: string, ...args: readonly string[]): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), [...args], { serialization: 'json' })
}

/** The next message of the child. @throws when it ends before, or says nothing in two minutes */
export function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void): void => {
      clearTimeout(timer)
      child.off('message', heard).off('exit', ended)
      done()
    }
    const heard = (message: unknown): void => settle(() => resolve(message as T))
    const ended = (code: number | null): void =>
      settle(() => reject(new Error(`${child.spawnargs.join(' ')} ended with ${String(code)}`)))
    const timer = setTimeout(
      () => settle(() => reject(new Error(`${child.spawnargs.join(' ')} says nothing`))),
      WAIT_MS_MAX,
    )
    child.on('message', heard).on('exit', ended)
  })
}

/** The channel closes; the child takes it as the word to end. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = once(child, 'exit', { signal: AbortSignal.timeout(WAIT_MS_MAX) })
  child.disconnect()
  await gone
}
