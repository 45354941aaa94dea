/** Completion scripts, made from the program itself. */
import type { Argument, Command, Option } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]
const NAMES = ['orch-node', 'orch'] as const

interface Words {
  /** Words of the command before, joined by a space; empty for the program. */
  readonly path: string
  readonly commands: readonly (readonly [string, string])[]
  readonly options: readonly Option[]
  /** Fixed values of the first argument, if it has some. */
  readonly values: readonly string[]
}

export function completionFor(program: Command, shell: Shell): string {
  const all = wordsOf(program)
  if (shell === 'bash') return bash(all)
  return shell === 'zsh' ? zsh(all) : fish(all)
}

function wordsOf(program: Command): readonly Words[] {
  const found: Words[] = []
  const visit = (command: Command, path: readonly string[]) => {
    found.push({
      path: path.join(' '),
      commands: command.commands.map((sub) => [sub.name(), sub.description()] as const),
      options: [...command.options, ...(command === program ? [] : program.options)],
      values: command.registeredArguments.flatMap((argument: Argument) => argument.argChoices ?? []),
    })
    for (const sub of command.commands) visit(sub, [...path, sub.name()])
  }
  visit(program, [])
  return found
}

function flagsOf({ options }: Words): readonly string[] {
  return [
    ...options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined)),
    '--help',
  ]
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** The path of the command that is being typed: the words that are commands, options left out. */
function bash(all: readonly Words[]): string {
  const cases = all.map((words) => {
    const list = [...words.commands.map(([name]) => name), ...words.values, ...flagsOf(words)].join(' ')
    return `    ${quote(words.path)}) words=${quote(list)} ;;`
  })
  const paths = all.filter(({ path }) => path !== '').map(({ path }) => quote(path))
  const takesValue = valueFlags(all).join('|')
  return `# bash completion of orch-node
_orch_node() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path="" word words="" next i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    next="\${path:+$path }$word"
    case "$next" in
    ${paths.join('|')}) path="$next" ;;
    esac
  done
  case "$prev" in
    ${takesValue}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ \${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$cur"))
}
${NAMES.map((name) => `complete -o filenames -F _orch_node ${name}`).join('\n')}`
}

function valueFlags(all: readonly Words[]): readonly string[] {
  const flags = new Set<string>()
  for (const { options } of all) {
    for (const { short, long, required, optional } of options) {
      if (!required && !optional) continue
      for (const flag of [short, long]) if (flag !== undefined) flags.add(flag)
    }
  }
  return [...flags]
}

function zsh(all: readonly Words[]): string {
  const describe = (text: string) => text.replaceAll(':', '\\:')
  const cases = all.map((words) => {
    const list = [
      ...words.commands.map(([name, about]) => quote(`${describe(name)}:${describe(about)}`)),
      ...words.values.map((value) => quote(describe(value))),
      ...words.options.map(({ short, long, description }) =>
        quote(`${long ?? short}:${describe(description)}`),
      ),
      quote('--help:show help'),
    ]
    return `    ${quote(words.path)}) list=(${list.join(' ')}) ;;`
  })
  const paths = all.filter(({ path }) => path !== '').map(({ path }) => quote(path))
  return `#compdef ${NAMES.join(' ')}
_orch_node() {
  local cmd="" word next
  local -a list
  for word in "\${(@)words[2,CURRENT-1]}"; do
    next="\${cmd:+$cmd }$word"
    case "$next" in
    ${paths.join('|')}) cmd="$next" ;;
    esac
  done
  case "$cmd" in
${cases.join('\n')}
  esac
  _describe 'orch-node' list || _files
}
compdef _orch_node ${NAMES.join(' ')}`
}

function fish(all: readonly Words[]): string {
  const lines = [
    '# fish completion of orch-node',
    'function __orch_node_path',
    '  set -l path ""',
    '  for word in (commandline -opc)[2..-1]',
    '    set -l next (string trim -- "$path $word")',
    `    if contains -- "$next" ${all
      .filter(({ path }) => path !== '')
      .map(({ path }) => quote(path))
      .join(' ')}`,
    '      set path "$next"',
    '    end',
    '  end',
    '  test "$path" = "$argv[1]"',
    'end',
  ]
  const quoted = (text: string) => `'${text.replace(/['\\]/g, '\\$&')}'`
  for (const name of NAMES) {
    for (const words of all) {
      const when = `complete -c ${name} -n ${quoted(`__orch_node_path ${quoted(words.path)}`)}`
      for (const [command, about] of words.commands)
        lines.push(`${when} -f -a ${command} -d ${quoted(about)}`)
      for (const value of words.values) lines.push(`${when} -f -a ${value}`)
      for (const { short, long, description, required } of words.options) {
        const flags = [long && `-l ${long.slice(2)}`, short && `-s ${short.slice(1)}`]
          .filter((flag) => flag !== undefined)
          .join(' ')
        lines.push(`${when} ${flags}${required ? ' -r' : ''} -d ${quoted(description)}`)
      }
    }
  }
  return lines.join('\n')
}
