/** Goal: the scripts work in their shells. Method: bash completes real lines; what a shell that is not installed would read is checked as text. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { completionFor } from '../../src/cli/completion.ts'
import { createProgram } from '../../src/cli/program.ts'
import { FakeFace } from './fake-face.ts'
import { FakeWorld } from './fake-world.ts'

const program = createProgram(new FakeWorld(new FakeFace()))
let dir: string

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'orch-complete-'))
  writeFileSync(join(dir, 'script'), completionFor(program, 'bash'))
  writeFileSync(join(dir, 'plan.yaml'), '')
})

afterAll(() => rmSync(dir, { recursive: true, force: true }))

function complete(...words: readonly string[]): readonly string[] {
  const script =
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a shell's
    'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _orch_node; printf "%s\\n" "${COMPREPLY[@]}"'
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'bash', 'orch-node', ...words], {
    cwd: dir,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout.split('\n').filter((word) => word !== '')
}

const hasBash = spawnSync('bash', ['--version']).status === 0

describe.skipIf(!hasBash)('bash', () => {
  it('[CL18] commands, subcommands, options, values and files', () => {
    expect(complete('ru')).toEqual(['run', 'runs'])
    expect(complete('task', 're')).toEqual(['retry', 'release', 'resume'])
    expect(complete('--json', 'task', 'logs', '--fo')).toEqual(['--follow'])
    expect(complete('runs', 'follow', '--')).toEqual(
      expect.arrayContaining(['--timeout', '--json', '--help']),
    )
    expect(complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']))
    expect(complete('run', 'pl')).toEqual(['plan.yaml'])
    expect(complete('run', '--repo', 'pl')).toEqual(['plan.yaml'])
  })
})

it.each(['bash', 'zsh', 'fish'] as const)(
  '[CL18] the script of %s knows every command and option',
  (shell) => {
    const script = completionFor(program, shell)
    for (const command of program.commands) {
      expect(script).toContain(command.name())
      for (const option of command.options)
        expect(script).toContain(shell === 'fish' ? `-l ${option.long!.slice(2)}` : option.long!)
      for (const sub of command.commands) expect(script).toContain(sub.name())
    }
    expect(script).toContain('orch-node')
    // Quotes of descriptions must not end a word of the script.
    if (shell !== 'fish')
      expect(
        spawnSync('bash', ['-n'], {
          input: script.replace(/^\s*local -a.*$|\$\{\(@\).*\}/gm, ':'),
        }).stderr.toString(),
      ).toBe('')
  },
)
