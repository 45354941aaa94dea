/** The verbs that workers live on (R19, R20, R35, R73): claim, progress, complete, fail, block, release. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import { type AttemptId, readAttemptId, shortNode, type TaskId } from '../core/id.ts'
import { OUTPUT_EXCERPT_BYTES, RESULT_BYTES_MAX } from '../core/limit.ts'
import { readHandoff } from '../executor/report.ts'
import type { AttemptReport, ClaimAnswer, NodeFace, TaskSummary } from './face.ts'
import { FacePart } from './face-part.ts'
import type { LiveAttempt } from './live-attempt.ts'
import { accepted } from './submit.ts'
import { taskSummary } from './view.ts'

export class FaceWorker extends FacePart {
  async claim(request: Parameters<NodeFace['claim']>[0]): Promise<ClaimAnswer> {
    const engine = this.engine
    const named = request.task === undefined ? undefined : this.taskOf(request.task)
    const run = named?.run.id ?? (request.run === undefined ? undefined : this.runOf(request.run).id)
    const { reply, durable } = engine.loop.post({
      type: 'claim',
      ...(run ? { run } : {}),
      ...(named ? { task: named.id } : {}),
      ...(request.capabilities ? { capabilities: request.capabilities } : {}),
    })
    accepted(reply)
    await durable
    const id = reply.attempt!
    const live = await this.#prepared(id)
    const { record } = live
    if (!record)
      throw new OrchError(
        'ORCH_FAILED',
        `the workspace of ${id} could not be made: see \`orch-node task show ${live.slot.task}\``,
      )
    const task = engine.state.board.task(live.slot.run, live.slot.task)!
    const handoff = task.entries.findLast((e) => e.result?.handoff)?.result?.handoff
    return {
      attempt: id,
      task: task.name,
      spec: task.spec!,
      ...(record.repository ? { workspace: record.workspace } : {}),
      dir: join(live.dir, 'orch'),
      hints: record.hints,
      ...(handoff ? { handoff } : {}),
      token: record.token,
    }
  }

  /** The effect that starts it is carried out right after the commit. */
  async #prepared(id: AttemptId): Promise<LiveAttempt> {
    const { runner, loop } = this.engine
    await loop.flushed()
    for (let turn = 0; turn < 100 && !runner.live.has(id); turn++)
      await new Promise((resolve) => setImmediate(resolve))
    const live = runner.live.get(id)
    if (!live) throw new OrchError('ORCH_FAILED', `attempt ${id} did not begin`)
    await live.prepared
    return live
  }

  async progress(request: Parameters<NodeFace['progress']>[0]): Promise<{ hints: readonly string[] }> {
    const live = this.#own(request)
    const { runner } = this.engine
    if (request.handoff !== undefined) {
      const handoff = readHandoff(request.handoff, new Date().toISOString())
      if (!handoff)
        throw new OrchError(
          'ORCH_USAGE',
          'a handoff has the fields current_focus, progress, next_steps and, if any, blockers, open_questions, files_touched',
        )
      await runner.saveHandoff(live, handoff)
      runner.hear(live, { type: 'progress', handoff })
    }
    if (request.step !== undefined || request.status !== undefined) {
      runner.hear(live, {
        type: 'step',
        n: request.step ?? (live.step ?? 0) + 1,
        ...(request.status ? { status: request.status } : {}),
      })
    }
    return { hints: await readInbox(join(live.dir, 'orch', 'inbox')) }
  }

  async complete(request: Parameters<NodeFace['complete']>[0]): Promise<TaskSummary> {
    const live = this.#own(request)
    if (request.value !== undefined && JSON.stringify(request.value).length > RESULT_BYTES_MAX) {
      throw new OrchError('ORCH_USAGE', `a result value has at most ${RESULT_BYTES_MAX} bytes of JSON`)
    }
    return this.#end(live, {
      finished: { ok: true, ...(request.summary ? { reason: request.summary } : {}) },
      ...(request.value === undefined ? {} : { value: request.value }),
    })
  }

  async fail(request: Parameters<NodeFace['fail']>[0]): Promise<TaskSummary> {
    return this.#end(this.#own(request), {
      finished: { ok: false, reason: request.reason.slice(0, OUTPUT_EXCERPT_BYTES) },
    })
  }

  async block(request: Parameters<NodeFace['block']>[0]): Promise<TaskSummary> {
    const live = this.#own(request)
    const { loop } = this.engine
    const blockers = (request.blockers ?? []).map((name) => this.#blockerOf(live, name))
    const { reply, durable } = loop.post({
      type: 'order',
      run: live.slot.run,
      subject: live.slot.task,
      order: {
        verb: 'block',
        reason: request.reason,
        round: 0,
        ...(blockers.length > 0 ? { blockers } : {}),
      },
    })
    accepted(reply)
    await durable
    accepted(loop.post({ type: 'release', attempt: live.id, reason: `blocked: ${request.reason}` }).reply)
    return this.#ended(live)
  }

  async release(request: Parameters<NodeFace['release']>[0]): Promise<void> {
    const live = this.#own(request)
    accepted(
      this.engine.loop.post({ type: 'release', attempt: live.id, reason: request.reason ?? 'given back' })
        .reply,
    )
    await this.#ended(live)
  }

  async #end(
    live: LiveAttempt,
    end: Parameters<NonNullable<LiveAttempt['finish']>>[0],
  ): Promise<TaskSummary> {
    if (!live.finish) {
      throw new OrchError(
        'ORCH_WRONG_STATE',
        `${live.slot.run}/${live.slot.task} runs under this node: its process says how it ends by its exit code`,
        {
          hint: 'end the process, or cancel it with `orch-node task cancel ID`',
        },
      )
    }
    live.finish(end)
    return this.#ended(live)
  }

  /** Waits until the result of an attempt is on the board and durable. */
  async #ended(live: LiveAttempt): Promise<TaskSummary> {
    const { runner, loop, state } = this.engine
    await runner.live.gone(live.id)
    await loop.flushed()
    const task = state.board.task(live.slot.run, live.slot.task)!
    return taskSummary(task, this.engine.live, state.me)
  }

  /** The attempt that a report speaks of: named, by task, or the only one of an outside worker. */
  #own(request: AttemptReport): LiveAttempt {
    const { runner, state } = this.engine
    if (request.attempt !== undefined) {
      const live = runner.live.get(request.attempt)
      if (live && !live.stop) return live
      throw this.#superseded(request.attempt)
    }
    if (request.task !== undefined) {
      const task = this.taskOf(request.task)
      const local = state.byTask.get(task)
      const live = local && runner.live.get(local.id)
      if (live?.stop) throw this.#superseded(live.id)
      if (live) return live
      throw new OrchError('ORCH_WRONG_STATE', `${task.name} does not run here: it is ${task.status}`)
    }
    const outside = [...runner.live.values()].filter((l) => l.finish && !l.stop)
    if (outside.length === 1) return outside[0]!
    throw new OrchError(
      'ORCH_USAGE',
      outside.length === 0 ? 'no task is claimed here' : 'several tasks are claimed here: name one',
    )
  }

  #superseded(attempt: AttemptId): OrchError {
    const { state } = this.engine
    const slot = readAttemptId(attempt)
    const task = slot && state.board.task(slot.run, slot.task)
    const holder = task?.holder ? `, held by ${shortNode(task.holder.node)}` : ''
    const because = task ? `: ${task.name} is ${task.status}${holder}` : ''
    const reason = task?.reason ? ` (${task.reason})` : ''
    return new OrchError('ORCH_SUPERSEDED', `attempt ${attempt} does not count any more${because}${reason}`, {
      context: { ...(task?.holder ? { holder: task.holder.node } : {}) },
    })
  }

  /** Another task of the same run, by its name there or in full. */
  #blockerOf(live: LiveAttempt, name: string): TaskId {
    const { run, task } = live.slot
    const blocker = this.taskOf(name.includes('/') ? name : `${run}/${name}`)
    if (blocker.run.id !== run || blocker.id === task)
      throw new OrchError('ORCH_USAGE', `${run}/${task} cannot wait for ${blocker.name}`)
    return blocker.id
  }
}

async function readInbox(dir: string): Promise<string[]> {
  const names: string[] = await readdir(dir).catch(() => [])
  names.sort()
  return Promise.all(names.slice(-20).map((name) => readFile(join(dir, name), 'utf8')))
}
