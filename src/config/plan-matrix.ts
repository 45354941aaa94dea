/** The `matrix` of a task in a plan file: its combinations, and the texts in which their values are put. */
import { MATRIX_MAX, RUN_TASKS_MAX } from '../core/limit.ts'
import { type Combination, combine, countCombinations, expandMatrix, matrixNames } from '../core/matrix.ts'
import { nearestName } from '../core/nearest.ts'
import { didYouMean, type PlanPath, quote } from '../core/plan-refusal.ts'
import type { ProblemReport } from './plan-file.ts'
import { matrixSchema } from './plan-schema.ts'
import { readShape } from './plan-shape.ts'
import type { PlainValue } from './plan-value.ts'

type Mapping = { [key: string]: PlainValue }

/**
 * The combinations of a task's matrix; `undefined` when it has none. A bad matrix is told of and taken out of `task`, so that the rest of the task can be
 * read as if it had none.
 *
 * @param before number of tasks that the plan has so far
 */
export function readMatrix(
  key: string,
  task: Mapping,
  before: number,
  report: ProblemReport,
): readonly Combination[] | undefined {
  if (!Object.hasOwn(task, 'matrix')) return undefined
  const path = ['tasks', key, 'matrix']
  const { data, wrong } = readShape(matrixSchema, task.matrix, path, (at, code, message, where, hint) =>
    report('error', at, code, message, where, hint),
  )
  const combinations = wrong || data === undefined ? undefined : combineAll(data, path, before, report)
  if (combinations === undefined) delete task.matrix
  return combinations
}

function combineAll(
  data: Readonly<Record<string, readonly (string | number | boolean)[]>>,
  path: PlanPath,
  before: number,
  report: ProblemReport,
): readonly Combination[] | undefined {
  const axes = Object.entries(data).map(([name, values]) => [name, values.map(String)] as const)
  const count = countCombinations(axes)
  const bad = (message: string) => report('error', path, 'bad-matrix', message)
  if (axes.length === 0) bad('the matrix is empty')
  else if (count > MATRIX_MAX) bad(`the matrix makes ${count} tasks; at most ${MATRIX_MAX} are taken`)
  else if (before + count > RUN_TASKS_MAX)
    bad(`with this matrix the plan has more than ${RUN_TASKS_MAX} tasks`)
  else {
    const combinations = combine(axes)
    const nameless = combinations.find(({ suffix }) => suffix === '')
    if (nameless === undefined) return combinations
    bad(
      `a value has no letter or digit to name a task by: ${[...nameless.values.values()].map(quote).join(', ')}`,
    )
  }
  return undefined
}

/** Tells of `${{ matrix.NAME }}` that no value will stand for. */
export function checkMatrixNames(
  key: string,
  value: Mapping,
  axes: readonly Combination[] | undefined,
  report: ProblemReport,
): void {
  const names = axes?.[0] ? [...axes[0].values.keys()] : []
  const visit = (item: PlainValue, path: PlanPath): void => {
    if (typeof item === 'string') {
      for (const name of matrixNames(item)) {
        if (names.includes(name)) continue
        if (axes !== undefined) {
          report(
            'error',
            path,
            'unknown-matrix-name',
            `the matrix has no ${quote(name)}`,
            'value',
            didYouMean(nearestName(name, names)) ?? `it has ${names.join(', ')}`,
          )
        } else if (!Object.hasOwn(value, 'matrix')) {
          report(
            'warning',
            path,
            'no-matrix',
            `\${{ matrix.${name} }} stays as it is: task ${quote(key)} has no matrix`,
          )
        }
      }
    } else if (item !== null && typeof item === 'object') {
      for (const [part, each] of Array.isArray(item) ? item.entries() : Object.entries(item))
        visit(each, [...path, part])
    }
  }
  visit(value, ['tasks', key])
}

/** The value with all its texts expanded. */
export function expandValue(value: PlainValue, values: ReadonlyMap<string, string>): PlainValue {
  if (typeof value === 'string') return expandMatrix(value, values)
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((item) => expandValue(item, values))
  const out: Mapping = Object.create(null)
  for (const [key, item] of Object.entries(value)) out[key] = expandValue(item, values)
  return out
}
