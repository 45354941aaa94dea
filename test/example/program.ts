/** Programs of `examples/` and the built command line, started as a person without any configuration would. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** @param home stands for the person's directory: no git configuration, no data of other nodes */
export function runProgram(
  command: string,
  args: readonly string[],
  { home, cwd = ROOT }: { readonly home: string; readonly cwd?: string },
): Promise<Ended> {
  const env = { PATH: process.env.PATH, HOME: home, TMPDIR: home, NO_COLOR: '1' }
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env, timeout: 90_000 }, (error, stdout, stderr) => {
      const code = error ? error.code : 0
      if (typeof code === 'number') resolve({ code, stdout, stderr })
      else reject(error)
    })
  })
}
