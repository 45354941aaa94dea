// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of plans look like that
/**
 * The plan file's shape: what `plan.schema.json` and the reading of plan files are made from. It says shapes and words; what depends on other
 * tasks is core's (`core/plan.ts`). Descriptions are shown by editors.
 */
import { z } from 'zod'
import * as limit from '../core/limit.ts'
import { DURATION_PATTERN, SIZE_PATTERN } from '../core/quantity.ts'
import { PRIORITIES } from '../core/task.ts'

const DURATION_ERROR = 'expected a duration such as 500ms, 90s, 30m, 1h30m'
const duration = z.string({ error: DURATION_ERROR }).regex(DURATION_PATTERN, { error: DURATION_ERROR })

const SIZE_ERROR = 'expected a size such as 512MB, 2GiB, or a number of bytes'
const size = z.union([z.string().regex(SIZE_PATTERN, { error: SIZE_ERROR }), z.number().nonnegative()], {
  error: SIZE_ERROR,
})

const needs = z.array(z.string())
const globs = z.array(z.string())
const value = z.union([z.string(), z.number(), z.boolean()])

const STRATEGIES = ['none', 'fixed', 'exponential', 'reassign'] as const
const RETRY_ERROR =
  'expected none, fixed, exponential, reassign, a number of attempts, or { strategy, attempts, delay }'

const retry = z.union(
  [
    z.enum(STRATEGIES),
    z.number().int().min(1).max(limit.RETRY_ATTEMPTS_MAX),
    z.strictObject({
      strategy: z
        .enum(STRATEGIES)
        .optional()
        .describe(
          'Delay between attempts: none = no retry; fixed = the same each time; exponential = doubled each time; reassign = at once, on another node. Default exponential.',
        ),
      attempts: z
        .number()
        .int()
        .min(1)
        .max(limit.RETRY_ATTEMPTS_MAX)
        .optional()
        .describe('Attempts in all, the first one included. Default 3.'),
      delay: duration
        .optional()
        .describe(
          'Base of the delay before the next attempt, for example 10s. Default 10s; with reassign 0.',
        ),
    }),
  ],
  { error: RETRY_ERROR },
)

const resources = z.strictObject({
  cpu: z.number().nonnegative().optional().describe('Cores; may be a fraction. Default 0.'),
  memory: size.optional().describe('Memory, for example 2GiB. Default 0.'),
  gpu: z.number().int().nonnegative().optional().describe('Graphics processors. Default 0.'),
  quota: z
    .record(z.string(), z.number().nonnegative())
    .optional()
    .describe('Units of named allowances held while an attempt runs, for example { anthropic: 1 }.'),
})

const env = z.record(z.string(), value)

const shared = {
  agent: z
    .string()
    .min(1)
    .describe(
      'Who does the work: shell, scripted, outside (claimed by hand), or an agent that this node knows. Default: shell for tasks with run.',
    ),
  timeout: duration.describe('Ends an attempt after this time. Default 30m.'),
  stall: duration.describe('Ends an attempt that shows no step for this long; 0 = never. Default 0.'),
  retry: retry.describe('What happens after a failed attempt. Default none.'),
  priority: z.enum(PRIORITIES).describe('Urgency. Default medium.'),
  capabilities: z.array(z.string()).describe('What a node must offer to run it, for example [typescript].'),
  resources: resources.describe('What an attempt takes of its node.'),
  env: env.describe('Environment variables of the attempt. Values are text.'),
  onEmpty: z
    .enum(['accept', 'reject'])
    .describe('What becomes of a success that changed no file. Default accept.'),
  onOutside: z
    .enum(['refuse', 'trim'])
    .describe(
      'What becomes of changes outside scope.write: refuse the result, or trim it to the scope. Default refuse.',
    ),
}

export const defaultsSchema = z.strictObject(shared).partial()

const MATRIX_NAME = /^[A-Za-z0-9_-]+$/

export const matrixSchema = z.record(
  z.string().regex(MATRIX_NAME, { error: 'expected a name of letters, digits, "_" and "-"' }),
  z.array(value).min(1),
)

export const taskSchema = z
  .strictObject({
    ...shared,
    title: z.string().describe('One line for people; the subject of the commit. Default: the id.'),
    prompt: z.string().describe('What an agent is asked to do.'),
    run: z.string().describe('A command for sh -c; makes this a shell task.'),
    script: z.string().min(1).describe('File with the recorded stream that a scripted task replays.'),
    payload: z.json().describe('Input of a worker function that was registered for this kind of agent.'),
    needs: needs.describe(
      'Tasks that must succeed before this one starts: ids, names of matrix tasks (all members), or group:NAME (all members).',
    ),
    after: needs.describe('Tasks that must be over before this one starts, whether they succeed or not.'),
    if: z
      .string()
      .describe("Condition over the needs, for example success('a') || failure('b'). Default success()."),
    scope: z
      .strictObject({
        write: globs.optional().describe('Files that it may change. Default none, when there is a scope.'),
        read: globs.optional().describe('Files that it depends on; used to warn of hazards.'),
      })
      .describe(
        'Files that it works on, as globs from the root of the repository. Without a scope it may write anything, and runs alone.',
      ),
    due: z
      .string()
      .describe(
        'Date (2026-12-31) or time with zone (2026-12-31T18:00:00Z); earlier ones go first within a priority.',
      ),
    exclusive: z
      .string()
      .describe('Name of something that may be used once: the task starts at most once, ever.'),
    check: z
      .string()
      .describe("Gate of this task's result: a command run on the merged tree; exit 0 lets it in."),
    group: z
      .union(
        [
          z.string(),
          z.strictObject({
            name: z.string().describe('Name of the group.'),
            concurrency: z
              .number()
              .int()
              .min(1)
              .optional()
              .describe(
                'Members that may run at once on a node. One member is enough to say it. Default: no bound.',
              ),
          }),
        ],
        { error: 'expected a name, or { name, concurrency }' },
      )
      .describe('Group of this task. A task that needs group:NAME waits for all members.'),
    matrix: matrixSchema.describe(
      'Lists of values: one task for each combination, named task-value. ${{ matrix.NAME }} stands for the value in every text.',
    ),
    compensation: z.string().describe("Command that undoes the task's effects outside of the repository."),
  })
  .partial()

export const mergeSchema = z
  .strictObject({
    mode: z
      .enum(['combined', 'per-task'])
      .describe(
        'combined = one branch with a commit per task; per-task = a branch per task. Default combined.',
      ),
    verify: z.string().min(1).describe('Gate of the integration: a command run on the merged tree.'),
    onConflict: z
      .enum(['resolve', 'retry', 'manual', 'take-first'])
      .describe(
        'When results collide: resolve = an agent merges both (this version has no agents: like retry); retry = the later one again on the new base; manual = wait for a person; take-first = drop the later one. Default retry.',
      ),
    onPartial: z
      .enum(['land', 'hold'])
      .describe('When some tasks fail: land what succeeded, or hold everything back. Default land.'),
    land: z
      .string()
      .min(1)
      .describe('Branch to move to the result; none = only the branch orch/RUN is made. Default none.'),
  })
  .partial()

const planShape = {
  version: z
    .literal(1, { error: 'expected 1: this program reads version 1 of the plan format' })
    .optional()
    .describe('Version of the plan format: 1.'),
  name: z
    .string()
    .min(1)
    .optional()
    .describe("Name of the plan; the run's id begins with it. Default: the name of the file."),
  repo: z
    .string()
    .min(1)
    .optional()
    .describe('Directory of the git repository. Default: where the command runs.'),
  base: z.string().min(1).optional().describe('Commit, branch or tag that tasks start from. Default HEAD.'),
  defaults: defaultsSchema.optional().describe('Values for all tasks that do not have their own.'),
  merge: mergeSchema.optional().describe('How results become one branch.'),
}

/** Everything but the inside of the tasks, which are read one by one. */
export const frameSchema = z.strictObject({
  ...planShape,
  tasks: z.record(z.string(), z.unknown(), { error: 'expected a mapping of task ids to tasks' }),
})

/** The whole file. Printed as `plan.schema.json`. */
export const planSchema = z
  .strictObject({
    ...planShape,
    tasks: z
      .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/), taskSchema)
      .describe('The tasks, by id: letters, digits, ".", "_" and "-".'),
  })
  .describe('A plan of orch-node: tasks, what they wait for, and how their results are merged.')

export type PlanTask = z.infer<typeof taskSchema>
export type PlanDefaults = z.infer<typeof defaultsSchema>
export type PlanMerge = z.infer<typeof mergeSchema>

/** JSON schema of the plan file, draft 2020-12, as published with the package. */
export function planJsonSchema(): object {
  return { title: 'orch-node plan', ...z.toJSONSchema(planSchema, { io: 'input' }) }
}
