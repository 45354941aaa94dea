/** Measured values of one figure, and what is said of them: median, least, most. */
export interface Sample {
  readonly name: string
  readonly unit: string
  readonly values: readonly number[]
}

/** Nearest rank; `part` of 0..1. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

export function perSecond(count: number, ms: number): number {
  return (count / ms) * 1_000
}

/** Figures of several runs, gathered under their names in the order in which they first come. */
export class Samples {
  readonly #samples = new Map<string, { readonly unit: string; readonly values: number[] }>()

  add(name: string, unit: string, value: number): void {
    const sample = this.#samples.get(name)
    if (sample) sample.values.push(value)
    else this.#samples.set(name, { unit, values: [value] })
  }

  all(): Sample[] {
    return [...this.#samples].map(([name, { unit, values }]) => ({ name, unit, values }))
  }
}
