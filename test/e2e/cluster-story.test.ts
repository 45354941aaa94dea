// Several machines as the README tells it, by the commands that people type: an invitation, an address and a person, a run over three nodes.
import { describe, expect, it } from 'vitest'
import { git } from '../node/machine.ts'
import { until, withFleet } from './fleet.ts'

interface Members {
  readonly cluster: string
  readonly members: readonly {
    readonly name: string
    readonly state: string
    readonly role: string
    readonly node: string
  }[]
  readonly requests: readonly { readonly name: string; readonly words: string }[]
}

describe('three machines', () => {
  it(
    '[EE1] a token, an address with the same six words on both screens, and a plan that runs on all of them',
    () =>
      withFleet(async (fleet) => {
        const a = await fleet.add('box-lab')
        const b = await fleet.add('mac-anna')
        const c = await fleet.add('old-xeon')
        await a.start('--slots', '1')
        // The first invitation founds the cluster; its token is all there is on stdout.
        const invited = await a.orch('invite').done
        expect(invited.code, invited.stderr).toBe(0)
        const token = invited.stdout.trim()
        expect(token).toMatch(/^\S+$/)
        expect(invited.stderr).not.toContain(token)
        await b.start('--slots', '1')
        const joined = await b.orch('join', '--token-file', fleet.file('invitation', token)).done
        expect(joined.code, joined.stderr).toBe(0)
        expect(joined.stdout).toContain('joined the cluster box-lab as worker')
        // The token was for one machine.
        await c.start('--slots', '1')
        const refused = await c.orch('join', '--token-file', fleet.file('invitation', token)).done
        expect(refused.code).not.toBe(0)
        expect(refused.stderr).toMatch(/used/)
        // By the address of any member, here the one that was invited: a person decides there.
        const asking = c.orch('join', a.address)
        await until('the words are told', () => asking.said().includes('six words: '))
        const words = /six words: (.+)/.exec(asking.said())![1]!
        expect(words.split(' ')).toHaveLength(6)
        const page = await a.orch('members').done
        expect(page.stdout).toContain(words)
        expect(page.stdout).toContain('orch-node members approve old-xeon')
        const approved = await a.orch('members', 'approve', 'old-xeon').done
        expect(approved.code, approved.stderr).toBe(0)
        expect((await asking.done).code, asking.said()).toBe(0)

        for (const node of fleet.nodes) await node.sees(fleet.nodes)
        const list = await c.data<Members>('members')
        expect(list.members.map((m) => `${m.name} ${m.role}`).sort()).toEqual([
          'box-lab admin',
          'mac-anna worker',
          'old-xeon worker',
        ])
        expect(list.requests).toEqual([])

        // Each waits until the two others run too: no node alone can do them.
        const barrier = 'touch "$OUT/$ORCH_TASK"; until [ $(ls "$OUT" | wc -l) = 3 ]; do sleep 0.05; done'
        const out = fleet.file('out', '')
        const plan = fleet.file(
          'plan.yaml',
          `version: 1
name: demo
repo: ${fleet.repo}
defaults: { agent: shell }
tasks:
${['one', 'two', 'three']
  .map(
    (id) =>
      `  ${id}: { run: 'mkdir -p ${out}.d; OUT=${out}.d; ${barrier}; echo ${id} > ${id}.txt', scope: { write: [${id}.txt] } }\n`,
  )
  .join(
    '',
  )}  all: { run: 'cat one.txt two.txt three.txt > all.txt', needs: [one, two, three], scope: { write: [all.txt] } }
`,
        )
        const told = await a.orch('run', plan).done
        expect(told.code, told.stderr + fleet.story()).toBe(0)
        const [run] = await b.data<{ id: string; status: string; commit: string }[]>('runs')
        expect(run!.status).toBe('complete')
        expect(git(fleet.repo, 'show', `orch/${run!.id}:all.txt`)).toBe('one\ntwo\nthree')
        expect(git(fleet.repo, 'rev-parse', `orch/${run!.id}`)).toBe(run!.commit)
        const tasks = await c.data<{ id: string; holder: string }[]>('tasks')
        expect(new Set(tasks.filter((t) => t.id !== 'all').map((t) => t.holder)).size).toBe(3)
        // From anywhere: the output of a task that ran elsewhere, and its diff.
        for (const node of fleet.nodes) {
          const diff = await node.orch('task', 'diff', 'two').done
          expect(diff.stdout, `${node.name}: ${diff.stderr}`).toContain('+two')
        }
      }),
    180_000,
  )
})
