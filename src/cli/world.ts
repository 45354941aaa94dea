/** Everything of the machine that a command touches, so that a test can be a machine of its own. */
import type { Background } from './background.ts'
import type { Connection, ConnectRequest, Host } from './connection.ts'
import type { Settings } from './settings.ts'

export interface Sink {
  /** Resolves when more may be written. */
  write(text: string | Uint8Array): void | Promise<void>
  readonly isTerminal: boolean
  /** Of the terminal; 80 when there is none. */
  readonly columns: number
  readonly rows: number
}

export interface Source {
  readonly isTerminal: boolean
  /** What there is, up to its end; from a terminal one line. At most so many bytes, and one more if there is more. */
  read(bytesMax: number): Promise<string>
}

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdout: Sink
  readonly stderr: Sink
  readonly stdin: Source
  readonly platform: NodeJS.Platform
  readonly home: string
  now(): number
  /** Calls back after so long, until it is ended; never keeps the process alive by itself. */
  every(ms: number, tick: () => void): () => void
  connect(request: ConnectRequest): Promise<Connection>
  /** Is the node until it is closed. */
  hostNode(request: ConnectRequest): Promise<Connection & { readonly host: Host }>
  /** Starts a node that outlives this process, and joins nothing. Resolves when it answers. */
  startNode(settings: Settings): Promise<Background>
  /** Ctrl-C and its kin, for as long as it is listened to. Returns the end of it. */
  onInterrupt(listener: () => void): () => void
}
