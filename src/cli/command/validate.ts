/** `validate PLAN` */
import type { Command } from 'commander'
import type { Cli, Invocation } from '../invocation.ts'
import { readPlan, requirePlan } from '../plan-argument.ts'
import { count } from '../quantity.ts'
import { collect } from './option.ts'

interface ValidateOptions {
  readonly agent?: string
  readonly set?: readonly string[]
}

export function addValidate(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'validate', 'check a plan: everything that is wrong with it, with line and column', [
      'orch-node validate plan.yaml',
    ])
    .argument('<plan>', 'plan file')
    .option('--agent <name>', 'agent of tasks that name none')
    .option('--set <key=value>', 'change a value of the plan; may be given more than once', collect)
    .action(cli.act(validate))
}

async function validate({ out, world }: Invocation, path: string, options: ValidateOptions): Promise<void> {
  const answer = await readPlan({
    path,
    cwd: world.cwd,
    ...(options.agent !== undefined && { agent: options.agent }),
    ...(options.set && { overrides: options.set }),
  })
  const plan = requirePlan(answer, path)
  if (answer.text !== '') out.note(answer.text)
  await out.answer({
    data: { name: plan.name, tasks: plan.tasks.length, warnings: answer.problems },
    text: () =>
      `${path} is valid: ${plan.name}, ${count(plan.tasks.filter(([, { kind }]) => kind !== 'barrier').length, 'task')}`,
    ids: () => [plan.name],
  })
}
