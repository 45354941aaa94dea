/** Everything of the machine that a command touches, so that a test can be a machine of its own. */
import type { Connection, ConnectRequest } from './connection.ts'

export interface Sink {
  /** Resolves when more may be written. */
  write(text: string | Uint8Array): void | Promise<void>
  readonly isTerminal: boolean
  /** Of the terminal; 80 when there is none. */
  readonly columns: number
  readonly rows: number
}

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdout: Sink
  readonly stderr: Sink
  readonly platform: NodeJS.Platform
  readonly home: string
  now(): number
  /** Calls back after so long, until it is ended; never keeps the process alive by itself. */
  every(ms: number, tick: () => void): () => void
  connect(request: ConnectRequest): Promise<Connection>
  /** Ctrl-C and its kin, for as long as it is listened to. Returns the end of it. */
  onInterrupt(listener: () => void): () => void
}
