/** Writes docs/cli.md from the program itself. Run with tsx after every change of a command; a test checks that it was. */
import { writeFileSync } from 'node:fs'
import type { Argument, Command, Option } from 'commander'
import { createMachine } from '../src/cli/machine.ts'
import { createProgram, examplesFor, PROGRAM } from '../src/cli/program.ts'
import { ERRORS } from '../src/core/error.ts'

const EXITS: readonly (readonly [number, string])[] = [
  [0, 'done'],
  [1, 'failed'],
  [2, 'wrong usage, or an invalid plan'],
  [3, 'nothing is ready'],
  [4, 'the claim was lost; the holder is on stdout'],
  [5, 'outside of the scope'],
  [6, 'no node can be reached, or it is no member'],
  [7, 'too much is pending, or a resource is missing'],
  [8, 'a gate failed'],
  [9, 'a conflict'],
  [10, 'some of it succeeded'],
  [124, 'not over in time'],
  [130, 'cancelled, or interrupted'],
]

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['ORCH_DATA_DIR', 'directory of the node, as `--data-dir`'],
  ['ORCH_URL, ORCH_TOKEN', 'a node to talk to, as `--node`, and the token for it; set inside of attempts'],
  [
    'ORCH_SLOTS, ORCH_NAME, ORCH_HTTP_PORT',
    'settings of a node that is started, as `--slots`, `--name`, `--http`',
  ],
  [
    'ORCH_LISTEN, ORCH_JOIN',
    'of a node that is started, as `--listen` and `--join`; several are joined by commas',
  ],
  ['ORCH_ATTEMPT, ORCH_TASK, ORCH_RUN', 'set inside of attempts: the verbs of workers need no id there'],
  ['NO_COLOR, FORCE_COLOR', 'no colour; colour off a terminal too'],
]

export function cliDoc(): string {
  const program = createProgram(createMachine())
  const parts = [
    '# Command line',
    'Made from the program by `tools/cli-doc.ts`: do not edit.',
    `\`${PROGRAM}\` has the short name \`orch\`. ${program.description()}`,
    '## Everywhere',
    options(program.options),
    'Tasks are named `RUN/TASK`; `TASK` alone is one of the latest run; any unique beginning of either will do. A run that is not named is the latest.',
    '## Commands',
    ...program.commands.flatMap((command) => section(command, [], 3)),
    '## Exit codes',
    table(
      ['code', 'meaning'],
      EXITS.map(([code, meaning]) => [String(code), meaning]),
    ),
    '## Errors',
    'An error says what failed, why, what to do next, and one of these codes. With `--json` it is `{"schemaVersion":1,"error":{code,message,hint}}` on stdout.',
    table(
      ['code', 'exit', 'HTTP', 'again?', 'what to do'],
      Object.entries(ERRORS).map(([code, { exit, status, retryable, hint }]) => [
        `\`${code}\``,
        String(exit),
        String(status),
        retryable ? 'may help' : '',
        hint,
      ]),
    ),
    '## Environment',
    table(
      ['variable', 'meaning'],
      ENVIRONMENT.map(([name, meaning]) => [
        name
          .split(', ')
          .map((each) => `\`${each}\``)
          .join(', '),
        meaning,
      ]),
    ),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function section(command: Command, path: readonly string[], depth: number): readonly string[] {
  const name = [...path, command.name()]
  const args = command.registeredArguments
  const usage = [
    PROGRAM,
    ...name,
    ...(command.commands.length > 0 ? ['[command]'] : []),
    ...args.map(showArgument),
    ...(command.options.length > 0 ? ['[options]'] : []),
  ].join(' ')
  return [
    `${'#'.repeat(depth)} ${name.join(' ')}`,
    `${sentence(command.description())}`,
    `\`\`\`\n${usage}\n\`\`\``,
    argumentTable(args),
    options(command.options),
    `Example${examplesFor(command).length === 1 ? '' : 's'}:\n\n\`\`\`sh\n${examplesFor(command).join('\n')}\n\`\`\``,
    ...command.commands.flatMap((sub) => section(sub, name, depth + 1)),
  ]
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`
}

function showArgument(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`
}

function argumentTable(args: readonly Argument[]): string {
  const described = args.filter(({ description, argChoices }) => description !== '' || argChoices)
  if (described.length === 0) return ''
  return table(
    ['argument', 'meaning'],
    described.map((argument) => [
      `\`${argument.name()}\``,
      `${argument.description}${argument.argChoices ? `: ${argument.argChoices.join(', ')}` : ''}`,
    ]),
  )
}

function options(list: readonly Option[]): string {
  const shown = list.filter(({ hidden }) => !hidden)
  if (shown.length === 0) return ''
  return table(
    ['option', 'meaning'],
    shown.map(({ flags, description, argChoices, defaultValue }) => [
      `\`${flags}\``,
      `${description}${argChoices ? `: ${argChoices.join(', ')}` : ''}${defaultValue === undefined ? '' : ` (default: ${String(defaultValue)})`}`,
    ]),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const inCell = (cell: string) => cell.replaceAll('|', '\\|')
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(inCell).join(' | ')} |`).join('\n')
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(new URL('../docs/cli.md', import.meta.url), cliDoc())
