/** What a command sees of the program: how it is defined, and one run of it. */
import type { Command, CommandOptions } from 'commander'
import type { NodeFace } from '../node/face.ts'
import type { Connection, Embed } from './connection.ts'
import type { Output } from './output.ts'
import type { SettingFlags, Settings } from './settings.ts'
import type { World } from './world.ts'

export interface GlobalOptions extends SettingFlags {
  readonly C?: string
  readonly json?: boolean
  readonly quiet?: boolean
  readonly debug?: boolean
}

/** One command being run. */
export interface Invocation {
  /** `cwd` is where `-C` points. */
  readonly world: World
  readonly out: Output
  readonly settings: Settings
  readonly program: Command
  connect(embed: Embed): Promise<Connection>
  /** Connects, works, lets go. */
  use<T>(embed: Embed, work: (face: NodeFace, connection: Connection) => Promise<T>): Promise<T>
}

/** A command's work; answers with an exit code other than 0 if need be. */
export type Handler<A extends unknown[]> = (it: Invocation, ...args: A) => Promise<number> | Promise<void>

/** What a command's definition gets. */
export interface Cli {
  /** Adds a command with its examples. */
  command(
    parent: Command,
    name: string,
    summary: string,
    examples: readonly string[],
    options?: CommandOptions,
  ): Command
  act<A extends unknown[]>(handler: Handler<A>): (...raw: unknown[]) => Promise<void>
  readonly world: World
}
