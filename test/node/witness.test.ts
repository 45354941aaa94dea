// A history that does not follow from the facts is told, and never taken over.
import { describe, expect, it } from 'vitest'
import { NodeState } from '../../src/core/node-state.ts'
import { step } from '../../src/core/step.ts'
import type { Git } from '../../src/git/git.ts'
import type { Objects } from '../../src/node/objects.ts'
import { Witness } from '../../src/node/witness.ts'
import { eventually } from './cluster-fixture.ts'
import { follow, repository, shell, startNode, submit, temporaryDir } from './fixture.ts'

async function finished() {
  const node = await startNode({ dataDir: temporaryDir() })
  const run = await submit(node, {
    repository: repository({ 'a.txt': 'a' }),
    tasks: [
      shell('x', 'echo x > x.txt', { write: ['x.txt'] }),
      shell('y', 'echo y > y.txt', { write: ['y.txt'], needs: ['x'] }),
    ],
  })
  await follow(node, run)
  const state = new NodeState({
    ...node.engine.state.options,
    author: { node: 'watcher', incarnation: '0'.repeat(26) },
  })
  for await (const batch of node.engine.options.store.facts()) step(state, { type: 'facts', batch }, 0, 0)
  state.live = [node.node, 'watcher']
  return { node, run, state, git: node.engine.options.git }
}

/** Of our own repository, with a ref of its own for the copy. */
function copying(git: Git, over: Partial<Git> = {}): { readonly git: Git; readonly moved: string[] } {
  const moved: string[] = []
  const own: Partial<Git> = {
    has: (id) => git.has(id),
    fold: (id, request) => git.fold(id, request),
    readRef: async () => undefined,
    advance: async (_id, _ref, to) => {
      moved.push(to)
      return true
    },
    ...over,
  }
  return { git: own as Git, moved }
}

const objects = { need: async () => {} } as unknown as Objects

describe('witness', () => {
  it('[WI1] the history that the facts make is the one that was accepted: it is kept', async () => {
    const { run, state, git, node } = await finished()
    const { git: own, moved } = copying(git)
    const wrong: string[] = []
    const witness = new Witness({ git: own, objects, state, say: () => {}, onMismatch: (m) => wrong.push(m) })
    witness.look(run, 0)
    await eventually('it is made again', () => moved.length > 0)
    await witness.close()
    expect(moved).toEqual([node.engine.state.board.runs.get(run)!.tip()])
    expect(wrong).toEqual([])
  })

  it('[WI2] another commit than the accept names is told once, and nothing is kept of it', async () => {
    const { run, state, git } = await finished()
    const { git: own, moved } = copying(git, {
      fold: async (id, request) => {
        const made = await git.fold(id, request)
        return {
          chain: made.chain.map((commit, k) => (k === 1 ? { ...commit, commit: 'f'.repeat(40) } : commit)),
        }
      },
    })
    const wrong: string[] = []
    const witness = new Witness({ git: own, objects, state, say: () => {}, onMismatch: (m) => wrong.push(m) })
    witness.look(run, 0)
    await eventually('it is told', () => wrong.length > 0)
    witness.look(run, 0)
    await witness.close()
    expect(wrong).toEqual([expect.stringContaining('the accept of "y" names commit')])
    expect(wrong[0]).toContain('ffffffffffff')
    expect(moved).toEqual([])
  })
})
