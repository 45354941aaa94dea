/** A machine with a face of a node, two sinks and a clock, to run command lines in. */

import type { Background } from '../../src/cli/background.ts'
import type { Connection, ConnectRequest, Host } from '../../src/cli/connection.ts'
import { runProgram } from '../../src/cli/program.ts'
import type { Settings } from '../../src/cli/settings.ts'
import type { Sink, World } from '../../src/cli/world.ts'
import type { NodeFace } from '../../src/node/face.ts'
import { AT } from './fake-cluster.ts'

export class FakeSink implements Sink {
  readonly chunks: Buffer[] = []
  isTerminal = false
  columns = 80
  rows = 24

  write(text: string | Uint8Array): void {
    this.chunks.push(Buffer.from(text as string))
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks)
  }

  get text(): string {
    return this.bytes.toString('utf8')
  }
}

export class FakeWorld implements World {
  env: Record<string, string | undefined> = {}
  cwd = '/place'
  readonly stdout = new FakeSink()
  readonly stderr = new FakeSink()
  /** What is typed or piped in. */
  input = ''
  readonly stdin = { isTerminal: false, read: async (bytesMax: number) => this.input.slice(0, bytesMax + 1) }
  platform: NodeJS.Platform = 'linux'
  home = '/home/anna'
  readonly requests: ConnectRequest[] = []
  readonly ticks = new Set<() => void>()
  readonly listeners = new Set<() => void>()
  clock = AT
  closed = 0
  face: NodeFace
  host: Host | undefined
  passive = false
  /** Settings of the nodes that were started in the background. */
  readonly started: Settings[] = []
  /** Thrown by the next connect. */
  fault: unknown

  constructor(face: NodeFace) {
    this.face = face
  }

  now = (): number => this.clock

  every = (_ms: number, tick: () => void): (() => void) => {
    this.ticks.add(tick)
    return () => this.ticks.delete(tick)
  }

  onInterrupt = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  interrupt(): void {
    for (const listener of [...this.listeners]) listener()
  }

  connect = async (request: ConnectRequest): Promise<Connection> => {
    this.requests.push(request)
    const { fault } = this
    let isOpen = true
    this.fault = undefined
    if (fault !== undefined) throw fault
    return {
      face: this.face,
      ...(this.host && request.embed === 'host' && { host: this.host }),
      ...(this.passive && { passive: true as const }),
      close: async () => {
        if (isOpen) this.closed++
        isOpen = false
      },
    }
  }

  /** Replaced where a node takes its time to open. */
  hostNode = async (request: ConnectRequest): Promise<Connection & { readonly host: Host }> => {
    const connection = await this.connect({ ...request, embed: 'host' })
    if (!this.host) throw new Error('the test gave no host')
    return { ...connection, host: this.host }
  }

  startNode = async (settings: Settings): Promise<Background> => {
    this.started.push(settings)
    return { pid: 4242, url: 'http://127.0.0.1:7947', log: '/data/node.log' }
  }

  /** Runs one command line, split at spaces; parts with spaces are given as a list. */
  async run(...args: readonly string[]): Promise<{
    readonly exit: number
    readonly stdout: string
    readonly stderr: string
    readonly json: () => unknown
  }> {
    const [outFrom, errFrom] = [this.stdout.bytes.length, this.stderr.bytes.length]
    const exit = await runProgram(args, this)
    const stdout = this.stdout.bytes.subarray(outFrom).toString('utf8')
    return {
      exit,
      stdout,
      stderr: this.stderr.bytes.subarray(errFrom).toString('utf8'),
      json: () => JSON.parse(stdout),
    }
  }
}
