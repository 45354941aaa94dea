/** Data directories of tests: made in the system's temporary place, removed after each test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export function makeTemporaryDir(): string {
  return mkdtempSync(join(tmpdir(), 'orch-node-test-'))
}

export function useDataDir(): string {
  const dir = makeTemporaryDir()
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
