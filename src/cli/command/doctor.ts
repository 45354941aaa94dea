/** `doctor [--fix]` */
import type { Command } from 'commander'
import type { Cli, Invocation } from '../invocation.ts'
import { line } from '../text.ts'

export function addDoctor(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'doctor',
      'check this machine and the data directory; says what to do about what is wrong',
      ['orch-node doctor', 'orch-node doctor --fix'],
    )
    .option('--fix', 'mend what can be mended; keeps a copy of what it changes')
    .action(cli.act(doctor))
}

const MARKS = { ok: '✓', warn: '!', fail: '✗' } as const

async function doctor(it: Invocation, { fix = false }: { readonly fix?: boolean }): Promise<number> {
  const { out, settings } = it
  const { examine } = await import('../doctor-check.ts')
  const findings = await examine({ dataDir: settings.dataDir.value, fix, connect: () => it.connect('never') })
  await out.answer({
    data: { findings },
    ids: () => findings.filter(({ state }) => state !== 'ok').map(({ check }) => check),
    text: () => {
      const { green, yellow, red, dim } = out.style
      const paint = { ok: green, warn: yellow, fail: red }
      return findings
        .flatMap(({ check, state, message, advice }) => [
          `${paint[state](MARKS[state])} ${state.padEnd(4)} ${check}: ${line(message)}`,
          ...(advice === undefined ? [] : [dim(`       ${line(advice)}`)]),
        ])
        .join('\n')
    },
  })
  return findings.some(({ state }) => state === 'fail') ? 1 : 0
}
