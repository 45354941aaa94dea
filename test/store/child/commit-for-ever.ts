/** What the children of the crash tests do: commits for ever, and prints the number of each commit once it is durable. Killed by their parent. */
import { writeSync } from 'node:fs'
import type { CoordStore } from '../../../src/store/store.ts'

/** @param docOf document of the k-th fact of a commit */
export async function commitForEver(
  store: Pick<CoordStore, 'put'>,
  docOf: (k: number) => string,
): Promise<void> {
  async function worker(name: string, facts: number): Promise<never> {
    for (let i = 0; ; i++) {
      const list = Array.from({ length: facts }, (_, k) => ({
        doc: docOf(k),
        collection: 'kv' as const,
        key: `${name}-${i}/${k}`,
        body: { text: 'x'.repeat((i * 37) % 400) },
      }))
      const { n, durable } = store.put(list, i)
      await durable
      writeSync(1, `${n} ${name}-${i} ${facts}\n`)
    }
  }
  await Promise.all([worker('a', 1), worker('b', 3), worker('c', 40), worker('d', 2_000)])
}
