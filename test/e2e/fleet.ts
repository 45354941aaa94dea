/**
 * Nodes in processes of their own, as people start them: the built program, a data directory and a port each, nothing of this user's environment. Everything that a fleet started
 * it ends, by process id, also when a test fails.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectRunning } from '../../src/cli/connection.ts'
import type { MergePolicy, TaskSpec } from '../../src/core/task.ts'
import type { NodeFace, RunSummary } from '../../src/node/face.ts'
import { git } from '../node/machine.ts'
import { builtSources } from './built.ts'
import { agentsOf, killAll, shimsOf } from './child.ts'
import { TestNetwork } from './namespace.ts'

export interface Told {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command under way. */
export interface Running {
  readonly done: Promise<Told>
  /** All that it said so far, on both streams. */
  said(): string
  interrupt(): void
}

export interface FleetTask extends Partial<TaskSpec> {
  readonly run: string
  /** Globs that it may write. */
  readonly write?: readonly string[]
}

const UP_MS_MAX = 60_000
const END_MS_MAX = 30_000

export class Fleet {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'orch-fleet-'))
  readonly repo: string = join(this.dir, 'repo')
  readonly nodes: FleetNode[] = []
  /** Present where each node has a network namespace of its own. */
  readonly network: TestNetwork | undefined
  readonly #children = new Set<ChildProcess>()
  readonly #onExit = (): void => {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  constructor({ apart = false }: { readonly apart?: boolean } = {}) {
    mkdirSync(join(this.dir, 'home'))
    mkdirSync(this.repo)
    git(this.repo, 'init', '-q', '-b', 'main')
    writeFileSync(join(this.repo, 'README'), 'base\n')
    git(this.repo, 'add', '-A')
    git(this.repo, 'commit', '-qm', 'base')
    this.network = apart ? new TestNetwork() : undefined
    process.once('exit', this.#onExit)
  }

  /** A node that is not started yet. `dataDir`: that of another machine, copied. */
  async add(name: string, dataDir: string = join(this.dir, name)): Promise<FleetNode> {
    const seat = this.network?.add()
    const address = `${seat?.address ?? '127.0.0.1'}:${seat ? 7946 : await freePort()}`
    const node = new FleetNode(this, name, dataDir, address, seat?.place ?? -1, seat?.command ?? [])
    this.nodes.push(node)
    return node
  }

  /** The first founds the cluster; the others come in by one invitation, all at once. */
  async found(
    names: readonly string[],
    args: readonly string[] = ['--slots', '2'],
  ): Promise<readonly FleetNode[]> {
    const nodes = await Promise.all(names.map((name) => this.add(name)))
    const [first, ...others] = nodes
    await first!.start('--backend', 'crdt', ...args)
    if (others.length > 0) {
      const token = await first!.invite(others.length)
      await Promise.all(
        others.map((node) => node.start('--join-file', this.file('invitation', token), ...args)),
      )
      await first!.sees(nodes)
    }
    return nodes
  }

  file(name: string, text: string): string {
    const path = join(this.dir, name)
    writeFileSync(path, text)
    return path
  }

  /** The program, with an environment of its own. */
  spawn(
    args: readonly string[],
    dataDir: string,
    out: 'pipe' | number,
    via: readonly string[] = [],
  ): ChildProcess {
    const [program, ...rest] = [
      ...untilParentEnds(),
      ...via,
      process.execPath,
      join(builtSources(), 'cli', 'main.js'),
      ...args,
    ]
    const child = spawn(program!, rest, {
      cwd: this.dir,
      stdio: ['ignore', out, out],
      env: {
        PATH: process.env.PATH,
        HOME: join(this.dir, 'home'),
        LANG: 'C.UTF-8',
        NO_COLOR: '1',
        GIT_CONFIG_NOSYSTEM: '1',
        ORCH_DATA_DIR: dataDir,
      },
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** Processes of agents and shims of all nodes. */
  left(): number[] {
    return this.nodes.flatMap(({ dataDir }) => [...agentsOf(dataDir), ...shimsOf(dataDir)])
  }

  /** What all the nodes said, for a test that failed. */
  story(): string {
    return this.nodes.map((node) => `== ${node.name}\n${node.said().slice(-4_000)}`).join('\n')
  }

  /** @param keep the directory stays, to be looked at */
  async end(keep = false): Promise<void> {
    for (const node of this.nodes) await node.forget()
    const ended = [...this.#children].map(
      (child) =>
        new Promise<void>((resolve) => {
          child.once('close', () => resolve())
          if (child.exitCode !== null || child.signalCode !== null) resolve()
          // Also one that stands still.
          child.kill('SIGKILL')
        }),
    )
    await Promise.all(ended)
    killAll(this.left())
    process.off('exit', this.#onExit)
    this.network?.close()
    if (!keep) rmSync(this.dir, { recursive: true, force: true })
  }
}

export class FleetNode {
  readonly fleet: Fleet
  readonly name: string
  readonly dataDir: string
  /** `HOST:PORT`, the same after each start. */
  readonly address: string
  /** In the test network; -1 without one. */
  readonly place: number
  readonly #via: readonly string[]
  readonly #log: string
  #process: ChildProcess | undefined
  #args: readonly string[] = []
  #remote: Awaited<ReturnType<typeof connectRunning>>

  constructor(
    fleet: Fleet,
    name: string,
    dataDir: string,
    address: string,
    place: number,
    via: readonly string[],
  ) {
    this.fleet = fleet
    this.name = name
    this.dataDir = dataDir
    this.address = address
    this.place = place
    this.#via = via
    this.#log = join(fleet.dir, `${name}.log`)
    writeFileSync(this.#log, '')
  }

  /** Resolves when it serves; rejected with its last words when it ends instead. */
  async start(...args: readonly string[]): Promise<void> {
    // A way in is taken once: a restart finds the cluster in its data directory.
    this.#args = args.filter((arg, k) => !/^--join/.test(arg) && !/^--join/.test(args[k - 1] ?? ''))
    await this.up(this.launch(args))
  }

  restart(): Promise<void> {
    return this.start(...this.#args)
  }

  /** @returns how much it had said before */
  launch(args: readonly string[]): number {
    const before = this.said().length
    const fd = openSync(this.#log, 'a')
    const child = this.fleet.spawn(
      ['start', '--name', this.name, '--listen', this.address, '--http', '0', ...args],
      this.dataDir,
      fd,
      this.#via,
    )
    closeSync(fd)
    this.#process = child
    return before
  }

  async up(saidBefore: number): Promise<void> {
    await until(
      `${this.name} is up`,
      () => {
        if (this.#isOver()) {
          const { exitCode, signalCode } = this.#process!
          throw new Error(`${this.name} ended (${signalCode ?? exitCode}): ${this.said().slice(-2_000)}`)
        }
        return this.said().slice(saidBefore).includes('listens on')
      },
      UP_MS_MAX,
    )
  }

  /** Its log, of all its starts. */
  said(): string {
    return readFileSync(this.#log, 'utf8')
  }

  get isUp(): boolean {
    return this.#process !== undefined && !this.#isOver()
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(name)
  }

  /** As a power cut does: the node, and what runs under it. */
  async cutPower(): Promise<void> {
    const left = [...shimsOf(this.dataDir), ...agentsOf(this.dataDir)]
    await this.kill('SIGKILL')
    killAll([...left, ...shimsOf(this.dataDir), ...agentsOf(this.dataDir)])
  }

  /** Resolves when it is gone. By default like `kill -9`: its shims and agents live on. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (child && !this.#isOver()) {
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      child.kill(signal)
      await within(gone, `${this.name} ends by ${signal}`)
    }
    this.#process = undefined
    await this.forget()
  }

  orch(...args: readonly string[]): Running {
    const child = this.fleet.spawn(args, this.dataDir, 'pipe')
    let stdout = ''
    let stderr = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8')
    })
    child.stderr!.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('utf8')
    })
    const done = new Promise<Told>((resolve) => {
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
    return { done, said: () => stdout + stderr, interrupt: () => void child.kill('SIGINT') }
  }

  /** The data of a command with --json that must succeed. */
  async data<T>(...args: readonly string[]): Promise<T> {
    const told = await this.orch(...args, '--json').done
    if (told.code !== 0) throw new Error(`${args.join(' ')}: exit ${told.code}: ${told.stderr}`)
    return (JSON.parse(told.stdout) as { data: T }).data
  }

  /** The node, asked over its socket: as the command line does, without a process for each question. */
  async face(): Promise<NodeFace> {
    if (!this.#remote) {
      const remote = await connectRunning(this.dataDir)
      if (!remote) throw new Error(`no node answers for ${this.name}`)
      this.#remote = remote
      void remote.ended?.then(() => {
        if (this.#remote === remote) this.#remote = undefined
      })
    }
    return this.#remote.face
  }

  async invite(uses: number): Promise<string> {
    return (await (await this.face()).invite({ uses })).token
  }

  /** Resolves when it counts all of these as live. */
  async sees(nodes: readonly FleetNode[], ms = 120_000): Promise<void> {
    await until(
      `${this.name} hears ${nodes.map((node) => node.name).join(' ')}`,
      async () => {
        const { members } = await (await this.face()).members()
        const live = members.filter((m) => m.state === 'self' || m.state === 'live').map((m) => m.name)
        return nodes.every((node) => live.includes(node.name))
      },
      ms,
    )
  }

  /** Tasks on the fleet's repository, as `run --detach` hands them in. */
  async submit(
    tasks: Readonly<Record<string, FleetTask>>,
    merge: Partial<MergePolicy> = {},
    repository: string | undefined = this.fleet.repo,
  ): Promise<string> {
    const { run } = await (await this.face()).submit({
      name: 'test',
      tasks: Object.entries(tasks).map(([id, { write, ...spec }], order) => [
        id,
        { kind: 'shell', order, ...(write && { scope: { write, read: [] } }), ...spec },
      ]),
      merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold', ...merge },
      ...(repository !== undefined && { repository }),
    })
    return run
  }

  async run(run: string): Promise<RunSummary> {
    return (await this.face()).run({ run })
  }

  /** Resolves when this node knows that the run has ended like that. */
  async knows(run: string, status: RunSummary['status'] = 'complete', ms = 180_000): Promise<RunSummary> {
    let last: RunSummary | undefined
    await until(
      `${this.name} says that ${run} is ${status}`,
      async () => {
        last = await this.run(run)
        return last.status === status
      },
      ms,
      () => JSON.stringify(last),
    )
    return last!
  }

  /** Lets go of the connection to it. */
  async forget(): Promise<void> {
    const remote = this.#remote
    this.#remote = undefined
    await remote?.close()
  }

  #isOver(): boolean {
    return this.#process?.exitCode !== null || this.#process.signalCode !== null
  }
}

let leash: readonly string[] | undefined

/** A test process that is killed itself cannot end what it started: where the system can, the kernel does. */
function untilParentEnds(): readonly string[] {
  leash ??=
    spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0
      ? ['setpriv', '--pdeathsig', 'KILL']
      : []
  return leash
}

const LOOK_MS = 60

/** A fleet for one test; when that fails, all that the nodes said is told with it. */
export async function withFleet(
  play: (fleet: Fleet) => Promise<void>,
  options?: { readonly apart?: boolean },
): Promise<void> {
  const fleet = new Fleet(options)
  try {
    await play(fleet)
  } catch (error) {
    ;(error as Error).message += `\n${fleet.story()}`
    throw error
  } finally {
    await fleet.end()
  }
}

/** Tasks in levels: each reads what those of the level before made, and makes a file of its own. */
export function levels(
  depth: number,
  width: number,
  run: (id: string, level: number) => string,
): { readonly tasks: Record<string, FleetTask>; readonly files: Record<string, string> } {
  const tasks: Record<string, FleetTask> = {}
  const files: Record<string, string> = {}
  for (let level = 0; level < depth; level++) {
    for (let k = 0; k < width; k++) {
      const id = `t${level}x${k}`
      const needs = level === 0 ? [] : [`t${level - 1}x${k}`, `t${level - 1}x${(k + 1) % width}`]
      const reads = [...new Set(needs)].map((need) => `grep -q ${need} ${need}.txt && `).join('')
      files[id] = `${id}.txt`
      tasks[id] = {
        run: `${run(id, level)}; ${reads}echo ${id} > ${id}.txt`,
        write: [`${id}.txt`],
        ...(needs.length > 0 && { needs: [...new Set(needs)] }),
        retry: { strategy: 'fixed', attempts: 10, delayMs: 50 },
      }
    }
  }
  return { tasks, files }
}

/** Waits for a condition of the world outside; a node that does not answer at the moment is asked again. Fails after the deadline, in words. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 60_000,
  more: () => string = () => '',
): Promise<void> {
  const end = performance.now() + ms
  let fault: unknown
  for (;;) {
    try {
      if (await condition()) return
      fault = undefined
    } catch (error) {
      if (!isPassing(error)) throw error
      fault = error
    }
    if (performance.now() > end)
      throw new Error(`not within ${ms} ms: ${what}${fault ? `: ${String(fault)}` : ''} ${more()}`)
    await new Promise((resume) => setTimeout(resume, LOOK_MS))
  }
}

/** Of a node that is starting, or gone for the moment. */
function isPassing(error: unknown): boolean {
  const { code, message } = error as { code?: string; message: string }
  return code?.startsWith('ORCH_') === true || message.startsWith('no node answers')
}

async function within(promise: Promise<void>, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${END_MS_MAX} ms: ${what}`)), END_MS_MAX)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

const PORT_MIN = 20_000
const PORTS = 12_000
let lastPort = (process.pid * 97) % PORTS

/** Below those that systems give to outgoing connections: it stays free while its node is down. */
async function freePort(): Promise<number> {
  for (;;) {
    lastPort = (lastPort + 1) % PORTS
    const port = PORT_MIN + lastPort
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}
