/** What the machine says, asked without the node: its processes, and a repository from outside. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Git as a person runs it, without the configuration of this machine. */
export function git(dir: string, ...args: string[]): string {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
  return execFileSync('git', ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org', ...args], {
    cwd: dir,
    env,
    encoding: 'utf8',
  }).trim()
}

/** Living processes whose environment holds this as one whole variable; by default the attempt's id. */
export function carriers(value: string, name = 'ORCH_ATTEMPT'): number[] {
  return processes((environ) => environ.includes(`\0${name}=${value}\0`))
}

/** Living processes with anything of this directory in their environment: agents, their shims' children, gates. */
export function carriersOf(dataDir: string): number[] {
  return processes((environ) => /\0ORCH_(ATTEMPT|GATE)=/.test(environ) && environ.includes(`=${dataDir}/`))
}

/** A zombie does not live. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return !'ZX'.includes(stat[stat.lastIndexOf(')') + 2]!)
  } catch {
    return false
  }
}

function processes(matches: (environ: string) => boolean): number[] {
  const found: number[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      if (matches(`\0${readFileSync(`/proc/${name}/environ`, 'latin1')}`)) found.push(Number(name))
    } catch {
      // gone, or of another user
    }
  }
  return found
}

/** All refs, HEAD, configuration, index and files of a person's repository, without the branches that are expected to be new. */
export function everythingOf(repo: string, ...without: readonly string[]): Record<string, string> {
  const refs = git(repo, 'for-each-ref', '--format=%(refname) %(objectname)')
    .split('\n')
    .filter((line) => !without.includes(line.split(' ')[0]!))
  return {
    refs: refs.join('\n'),
    head: readFileSync(join(repo, '.git', 'HEAD'), 'utf8'),
    config: readFileSync(join(repo, '.git', 'config'), 'utf8'),
    hooks: readdirSync(join(repo, '.git', 'hooks')).join(),
    worktrees: git(repo, 'worktree', 'list'),
    status: git(repo, 'status', '--porcelain=v1', '-uall'),
    stash: git(repo, 'stash', 'list'),
  }
}

/** Waits for a condition of the world outside; fails after the deadline. */
export async function until(condition: () => boolean | Promise<boolean>, deadlineMs = 20_000): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
}
