import { describe, expect, it } from 'vitest'
import { whoIsMeant } from '../../src/node/name-match.ts'
import { eventually, startCluster } from './cluster-fixture.ts'

const nodes = [
  { node: '12D3KooWabcb', names: ['a', 'lab'] },
  { node: '12D3KooWabxb', names: ['b'] },
  { node: '12D3KooWqqqq', names: ['abcb'] },
]
const meant = (who: string): readonly string[] => whoIsMeant(nodes, who).map(({ node }) => node.slice(-4))

describe('who is meant by what a person types', () => {
  it.each([
    ['a name', 'b', ['abxb']],
    ['another name of it', 'lab', ['abcb']],
    ['a name that is the end of an id, too', 'abcb', ['qqqq']],
    ['an id', '12D3KooWabxb', ['abxb']],
    ['the end of an id', 'Wabcb', ['abcb']],
    ['an end that is too short', 'xb', []],
    ['an end of several', '12D3', []],
    ['nothing', '', []],
  ])('[CN11] %s', (_what, who, found) => {
    expect(meant(who)).toEqual(found)
  })

  it('[CN11] all that fit are told, so that nobody is let in by mistake', () => {
    const twins = [
      { node: 'x1', names: ['box'] },
      { node: 'x2', names: ['box'] },
    ]
    expect(whoIsMeant(twins, 'box')).toEqual(twins)
  })
})

describe('machines that ask', () => {
  it('[CN12] each is told once, however many come after it, and is let in by its name', async () => {
    const cluster = await startCluster(['a'])
    const [a] = cluster.nodes
    const to = `/memory/${a!.node}`
    const names = ['b', 'c', 'd']
    const coming: Promise<unknown>[] = []
    for (const [k, name] of names.entries()) {
      coming.push(cluster.start(name, { join: [to] }))
      await eventually(`${name} waits`, async () => (await a!.face.members()).requests.length === k + 1)
    }
    const told = a!.said.filter((line) => line.includes('asks to be let in'))
    expect(told.map((line) => /warn: (\w+) asks/.exec(line)?.[1])).toEqual(names)
    for (const name of names) await a!.face.approve({ who: name })
    await Promise.all(coming)
    await eventually('all are in', async () => (await a!.face.members()).members.length === names.length + 1)
  })
})
