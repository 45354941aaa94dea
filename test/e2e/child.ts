/** Starts `child-node.mjs` and hears what it says; kills it, and what runs under it, like a power cut would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { carriersOf, isAlive } from '../node/machine.ts'
import { builtSources } from './built.ts'

export interface Word {
  readonly up?: string
  readonly recovery?: readonly string[]
  readonly said?: string
  readonly run?: string
  readonly status?: string
  readonly closed?: true
}

export interface ChildNode {
  readonly process: ChildProcess
  readonly words: Word[]
  readonly exited: Promise<void>
  /** Resolves to the first word that fits; rejected when the process ends without it. */
  heard(fits: (word: Word) => boolean): Promise<Word>
  kill(): Promise<void>
}

export function startChild(dataDir: string, submission: string): ChildNode {
  const program = fileURLToPath(new URL('child-node.mjs', import.meta.url))
  const child = spawn(process.execPath, [program, builtSources(), dataDir, submission], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null' },
  })
  const words: Word[] = []
  const waiting = new Set<(word: Word | undefined) => void>()
  const tell = (word: Word | undefined): void => {
    for (const listener of [...waiting]) listener(word)
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    const word = JSON.parse(line) as Word
    words.push(word)
    tell(word)
  })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('utf8')).slice(-4_000)
  })
  const exited = new Promise<void>((resolve) => {
    child.on('close', () => {
      if (complaint) words.push({ said: `stderr: ${complaint}` })
      tell(undefined)
      resolve()
    })
  })
  return {
    process: child,
    words,
    exited,
    heard: (fits) =>
      new Promise((resolve, reject) => {
        const known = words.find(fits)
        if (known) return resolve(known)
        if (child.exitCode !== null || child.signalCode !== null)
          return reject(new Error(`it has ended: ${complaint}`))
        const listener = (word: Word | undefined): void => {
          if (word && !fits(word)) return
          waiting.delete(listener)
          if (word) resolve(word)
          else reject(new Error(`it ended: ${complaint}`))
        }
        waiting.add(listener)
      }),
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** Shims of a data directory that watch an attempt now. */
export function shimsOf(dataDir: string): number[] {
  const root = join(dataDir, 'attempts')
  const found: number[] = []
  if (!existsSync(root)) return found
  for (const run of readdirSync(root)) {
    for (const task of readdirSync(join(root, run))) {
      for (const attempt of readdirSync(join(root, run, task))) {
        const dir = join(root, run, task, attempt)
        if (existsSync(join(dir, 'exit.json'))) continue
        try {
          const { pid } = JSON.parse(readFileSync(join(dir, 'shim.pid'), 'utf8')) as { pid?: number }
          if (pid !== undefined && isAlive(pid) && isShim(pid)) found.push(pid)
        } catch {
          // not begun
        }
      }
    }
  }
  return found
}

function isShim(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('shim')
  } catch {
    return false
  }
}

/** Agents and gates of a data directory, without their shims. */
export function agentsOf(dataDir: string): number[] {
  return carriersOf(dataDir)
}

export function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // gone
    }
  }
}
