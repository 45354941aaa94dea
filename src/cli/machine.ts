/** The world of a real process. */
import { homedir } from 'node:os'
import { connectNode } from './connection.ts'
import type { Sink, Source, World } from './world.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function createMachine(): World {
  return {
    env: process.env,
    cwd: process.cwd(),
    stdout: sinkOf(process.stdout),
    stderr: sinkOf(process.stderr),
    stdin,
    platform: process.platform,
    home: homedir(),
    now: Date.now,
    every(ms, tick) {
      const timer = setInterval(tick, ms)
      timer.unref()
      return () => clearInterval(timer)
    },
    connect: connectNode,
    async hostNode(request) {
      const { openHostPatiently } = await import('./hosting.ts')
      return openHostPatiently(request)
    },
    async startNode(settings) {
      const { startInBackground } = await import('./background.ts')
      return startInBackground(settings)
    },
    onInterrupt(listener) {
      for (const signal of SIGNALS) process.on(signal, listener)
      return () => {
        for (const signal of SIGNALS) process.off(signal, listener)
      }
    },
  }
}

/** Touched only when it is read: an idle handle would keep the process alive. */
const stdin: Source = {
  get isTerminal() {
    return process.stdin.isTTY === true
  },
  async read(bytesMax) {
    const isTerminal = process.stdin.isTTY === true
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length > bytesMax || (isTerminal && chunk.includes(0x0a))) break
    }
    return Buffer.concat(chunks)
      .subarray(0, bytesMax + 1)
      .toString('utf8')
  },
}

function sinkOf(stream: NodeJS.WriteStream): Sink {
  // The reader of a pipe that has enough (`| head`) is no fault: there is nobody left to work for.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    write(text) {
      if (stream.write(text)) return
      return new Promise((resolve) => {
        stream.once('drain', resolve)
      })
    },
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns || 80
    },
    get rows() {
      return stream.rows || 24
    },
  }
}
