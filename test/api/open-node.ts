/** What `serve` needs of a node, over a fake face. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServedNode } from '../../src/api/serve.ts'
import { FakeFace } from '../cli/fake-face.ts'

export const ATTEMPT = 'demo-7f2a/math/1.1/01JDFAKEFAKEFAKEFAKEFAKE00'
export const ATTEMPT_TOKEN = 'token-of-the-attempt'

export interface FakeNode extends ServedNode {
  readonly face: FakeFace
  readonly dataDir: string
  url: string | undefined
  remove(): void
}

export function createFakeNode(dataDir = mkdtempSync(join(tmpdir(), 'orch-api-'))): FakeNode {
  const face = new FakeFace()
  face.statusFields = { dataDir }
  return {
    face,
    dataDir,
    url: undefined,
    tokens: { verify: (token) => (token === ATTEMPT_TOKEN ? ATTEMPT : undefined) },
    setUrl(url) {
      this.url = url
    },
    remove: () => rmSync(dataDir, { recursive: true, force: true }),
  }
}

/** Resolves when the condition holds; rejects after the deadline. */
export async function until(condition: () => boolean, what: string, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
