import { OrchError } from '../core/error.ts'
import { askGit } from './command.ts'

export interface GitVersion {
  readonly major: number
  readonly minor: number
  readonly patch: number
  /** As git prints it, for reports: merges depend on it. */
  readonly text: string
}

/** `merge-tree --write-tree` came with this one. */
const GIT_OLDEST = { major: 2, minor: 38 } as const

/** Reads `git version 2.39.5 (Apple Git-154)`; `undefined` when it is something else. */
export function readGitVersion(line: string): GitVersion | undefined {
  const match = /^git version ((\d+)\.(\d+)(?:\.(\d+))?\S*)/.exec(line)
  if (!match) return undefined
  return { major: Number(match[2]), minor: Number(match[3]), patch: Number(match[4] ?? 0), text: match[1]! }
}

export function isGitTooOld(version: GitVersion): boolean {
  const { major, minor } = GIT_OLDEST
  return version.major < major || (version.major === major && version.minor < minor)
}

/** @throws ORCH_GIT_MISSING, ORCH_GIT_OLD */
export async function gitVersion(): Promise<GitVersion> {
  const line = await askGit(['version'], { cwd: process.cwd(), timeoutMs: 10_000 })
  const version = readGitVersion(line)
  if (!version) throw new OrchError('ORCH_GIT_MISSING', `\`git version\` printed ${JSON.stringify(line)}`)
  if (isGitTooOld(version))
    throw new OrchError('ORCH_GIT_OLD', `git ${version.text} is too old`, { context: { ...version } })
  return version
}
