/** `matrix:` makes one task per combination of its values, as CI files do. `${{ matrix.NAME }}` stands for the value, in every string. */
import { slug } from './id.ts'

export interface Combination {
  /** Values as slugs joined by `-`: what follows the task's name in the id. Empty when a value has no letter or digit. */
  readonly suffix: string
  readonly values: ReadonlyMap<string, string>
}

type Axes = readonly (readonly [string, readonly string[]])[]

export function countCombinations(axes: Axes): number {
  return axes.reduce((product, [, values]) => product * values.length, 1)
}

/** The product of the axes; the last one turns fastest. */
export function combine(axes: Axes): readonly Combination[] {
  let partial: { slugs: string[]; values: [string, string][] }[] = [{ slugs: [], values: [] }]
  for (const [name, values] of axes) {
    partial = partial.flatMap(({ slugs, values: before }) =>
      values.map((value) => ({
        slugs: [...slugs, slug(value)],
        values: [...before, [name, value] as [string, string]],
      })),
    )
  }
  return partial.map(({ slugs, values }) => ({
    suffix: slugs.includes('') ? '' : slugs.join('-'),
    values: new Map(values),
  }))
}

const EXPRESSION = /\$\{\{\s*matrix\.([A-Za-z0-9_-]+)\s*\}\}/g

/** Names of `${{ matrix.NAME }}` in the text, in order. Other expressions are left alone: a prompt may speak of CI files. */
export function matrixNames(text: string): readonly string[] {
  return text.includes('${{') ? Array.from(text.matchAll(EXPRESSION), (match) => match[1]!) : []
}

/** Unknown names are left as they stand. */
export function expandMatrix(text: string, values: ReadonlyMap<string, string>): string {
  if (!text.includes('${{')) return text
  return text.replace(EXPRESSION, (whole, name: string) => values.get(name) ?? whole)
}
