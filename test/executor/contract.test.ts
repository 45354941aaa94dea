/** The three executors under the contract suite. */
import { createScriptedExecutor } from '../../src/executor/scripted.ts'
import { createShellExecutor } from '../../src/executor/shell.ts'
import { createWorkerExecutor, type WorkerTask } from '../../src/executor/worker.ts'
import { describeExecutor } from './contract.ts'

const step = (n: number) => `echo ${n} > "$ORCH_DIR/step.new"; mv "$ORCH_DIR/step.new" "$ORCH_DIR/step"`
// waits until a step was seen: nothing is told of a file that is overwritten at once
const paced = [1, 2, 3]
  .map((n) => `${step(n)}; until [ -e "$ORCH_DIR/seen-${n}" ]; do sleep 0.01; done`)
  .join('; ')

describeExecutor('shell', {
  create: () => createShellExecutor(),
  succeed: { kind: 'shell', run: 'true' },
  fail: { kind: 'shell', run: 'exit 3' },
  steps: { kind: 'shell', run: paced },
  endless: { kind: 'shell', run: `${step(1)}; exec sleep 1000` },
  stubborn: { kind: 'shell', run: `trap '' TERM; ${step(1)}; while :; do sleep 1; done` },
})

const told = (n: number) => ({ event: { type: 'step', n } })

describeExecutor('scripted', {
  create: () => createScriptedExecutor(),
  succeed: { kind: 'scripted', payload: { lines: [{ event: { type: 'finished', ok: true } }] } },
  fail: { kind: 'scripted', payload: { lines: [{ exit: 3 }] } },
  steps: { kind: 'scripted', payload: { lines: [told(1), told(2), told(3)] } },
  endless: { kind: 'scripted', payload: { lines: [told(1), { sleepMs: 1_000_000 }] } },
  stubborn: { kind: 'scripted', payload: { lines: [{ ignoreTerm: true }, told(1), { sleepMs: 1_000_000 }] } },
})

const behaviours: Record<string, (task: WorkerTask) => unknown> = {
  succeed: () => undefined,
  fail: () => {
    throw new Error('no')
  },
  steps: (task) => {
    for (const n of [1, 2, 3]) task.step(n)
  },
  endless: (task) =>
    new Promise((resolve) => {
      task.signal.addEventListener('abort', resolve)
      task.step(1)
    }),
  stubborn: (task) => {
    task.step(1)
    return new Promise(() => {})
  },
}

describeExecutor('worker', {
  create: () =>
    createWorkerExecutor({
      kind: 'mine',
      concurrency: 4,
      run: (task) => behaviours[task.payload as string]!(task),
    }),
  succeed: { kind: 'mine', payload: 'succeed' },
  fail: { kind: 'mine', payload: 'fail' },
  steps: { kind: 'mine', payload: 'steps' },
  endless: { kind: 'mine', payload: 'endless' },
  stubborn: { kind: 'mine', payload: 'stubborn' },
})
