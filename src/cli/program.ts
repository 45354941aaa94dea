/** The command line as a whole: what exists, and how a command is run. Commands are thin; what they need of the machine comes from a `World`. */
import { resolve } from 'node:path'
import { Command, CommanderError, Option } from 'commander'
import { VERSION } from '../version.ts'
import { addClaim } from './command/claim.ts'
import { addCompletion } from './command/completion.ts'
import { addConflicts } from './command/conflicts.ts'
import { addDoctor } from './command/doctor.ts'
import { addDrain } from './command/drain.ts'
import { addEvents } from './command/events.ts'
import { addExport } from './command/export.ts'
import { addGraph } from './command/graph.ts'
import { addIntegrate } from './command/integrate.ts'
import { addInvite } from './command/invite.ts'
import { addJoin } from './command/join.ts'
import { addLand } from './command/land.ts'
import { addLeave } from './command/leave.ts'
import { addMembers } from './command/members.ts'
import { addReady } from './command/ready.ts'
import { addReports } from './command/report.ts'
import { addRun } from './command/run.ts'
import { addRuns } from './command/runs.ts'
import { addSimulate } from './command/simulate.ts'
import { addStart } from './command/start.ts'
import { addStatus } from './command/status.ts'
import { addStop } from './command/stop.ts'
import { addTask } from './command/task.ts'
import { addTasks } from './command/tasks.ts'
import { addValidate } from './command/validate.ts'
import { addVersion } from './command/version.ts'
import { addWorkspace } from './command/workspace.ts'
import type { Embed } from './connection.ts'
import { describe, exitOf, usage } from './failure.ts'
import type { Cli, GlobalOptions, Invocation } from './invocation.ts'
import { joinLines } from './join-way.ts'
import { Output } from './output.ts'
import { readSettings } from './settings.ts'
import type { World } from './world.ts'

export const PROGRAM = 'orch-node'

/** Examples of each command, for its help and the documentation. */
const examplesOf = new WeakMap<Command, readonly string[]>()

export function examplesFor(command: Command): readonly string[] {
  return examplesOf.get(command) ?? []
}

interface State {
  exit: number
}

/** The program object, without running anything. */
export function createProgram(world: World, state: State = { exit: 0 }): Command {
  const program = new Command(PROGRAM)
    .description('Runs plans of tasks with coding agents and any other workers, and merges what they make.')
    .option('-C <dir>', 'run as if started in this directory')
    .option(
      '--data-dir <dir>',
      'directory of the node (ORCH_DATA_DIR; default: the place of this system for data of programs)',
    )
    .option('--node <url>', 'talk to the node at this URL (ORCH_URL, with ORCH_TOKEN)')
    .option('--json', 'answer with one JSON document on stdout; streams with one object per line')
    .option('-q, --quiet', 'print ids only')
    .version(VERSION, '-V, --version', 'print the version number')
    .addOption(new Option('--debug', 'show stack traces'))
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void world.stdout.write(text),
      // Told by our own rendering of errors.
      writeErr: () => {},
      getOutHelpWidth: () => (world.stdout.isTerminal ? world.stdout.columns : 100),
      getOutHasColors: () => false,
    })
  const cli: Cli = {
    world,
    command(parent, name, summary, examples, options) {
      const command = parent.command(name, options).description(summary).helpCommand(false)
      examplesOf.set(command, examples)
      command.addHelpText(
        'after',
        `\nExample${examples.length === 1 ? '' : 's'}:\n${examples.map((example) => `  $ ${example}`).join('\n')}`,
      )
      return command
    },
    act(handler) {
      return async (...raw) => {
        const command = raw.pop() as Command
        const it = invocationOf(world, command, program)
        const exit = await handler(it, ...(raw as never))
        state.exit = typeof exit === 'number' ? exit : 0
      }
    },
  }
  const add = [
    addRun,
    addValidate,
    addGraph,
    addRuns,
    addTasks,
    addTask,
    addEvents,
    addExport,
    addReady,
    addClaim,
    addReports,
    addIntegrate,
    addLand,
    addConflicts,
    addWorkspace,
    addStart,
    addStop,
    addStatus,
    addInvite,
    addJoin,
    addMembers,
    addDrain,
    addLeave,
    addDoctor,
    addSimulate,
    addVersion,
    addCompletion,
  ]
  for (const each of add) each(program, cli)
  program.addHelpText(
    'after',
    `\nExamples:\n  $ ${PROGRAM} run plan.yaml\n  $ ${PROGRAM} tasks --where 'status=failed'\n  $ ${PROGRAM} run --help`,
  )
  return program
}

function invocationOf(world: World, command: Command, program: Command): Invocation {
  const options = command.optsWithGlobals<GlobalOptions>()
  const here: World = options.C === undefined ? world : { ...world, cwd: resolve(world.cwd, options.C) }
  const out = new Output(here, { json: options.json ?? false, quiet: options.quiet ?? false })
  const settings = readSettings(options, here)
  const token = here.env.ORCH_TOKEN
  const connect = (embed: Embed) =>
    here.connect({
      settings,
      embed,
      ...(token && settings.node.value !== undefined && { token }),
      // What a node of our own says while it works is told by the views; faults are told at once.
      log: (level, message) => {
        if (level === 'error') out.note(message)
      },
      onJoin: (update, name) => {
        for (const told of joinLines(update, name)) out.note(told)
      },
    })
  return {
    world: here,
    out,
    settings,
    program,
    connect,
    async use(embed, work) {
      const connection = await connect(embed)
      try {
        return await work(connection.face, connection)
      } finally {
        await connection.close()
      }
    },
  }
}

/** Runs one command line. Never rejects: what fails is told, and becomes an exit code. */
export async function runProgram(args: readonly string[], world: World): Promise<number> {
  const state: State = { exit: 0 }
  const flags = args.slice(0, args.includes('--') ? args.indexOf('--') : args.length)
  const program = createProgram(world, state)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return state.exit
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0
    const debug = flags.includes('--debug')
    const out = new Output(world, { json: flags.includes('--json'), quiet: false })
    const { error, why, stack } = describe(
      thrown instanceof CommanderError ? asUsage(thrown, flags, program) : thrown,
    )
    await out.error(error, {
      ...(why && { why }),
      ...(stack && (debug || error.code === 'ORCH_BUG') && { stack }),
    })
    // Who lost a claim can see to whom.
    const holder = error.context?.holder
    if (!out.json && error.code === 'ORCH_CLAIM_LOST' && typeof holder === 'string')
      await world.stdout.write(`${holder}\n`)
    return exitOf(error)
  }
}

function asUsage(error: CommanderError, args: readonly string[], program: Command) {
  const named = args.find((arg) => program.commands.some((command) => command.name() === arg))
  const hint = `see \`${named === undefined ? PROGRAM : `${PROGRAM} ${named}`} --help\``
  if (error.code === 'commander.help') return usage('which command?', hint)
  return usage(error.message.replace(/^error: /, ''), hint)
}
