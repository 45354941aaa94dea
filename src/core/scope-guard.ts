/** The second of the four times that a scope holds (R12): two tasks that may write one file do not run at once. */
import { overlap } from './glob.ts'
import type { TaskSpec } from './task.ts'

const MET = new WeakMap<TaskSpec, WeakMap<TaskSpec, boolean>>()

/** Without a scope a task writes anything. Remembered per pair: specs never change. */
export function scopesMeet(a: TaskSpec, b: TaskSpec): boolean {
  if (!a.scope || !b.scope) return true
  let known = MET.get(a)
  if (!known) {
    known = new WeakMap()
    MET.set(a, known)
  }
  let meets = known.get(b)
  if (meets === undefined) {
    meets = a.scope.write.some((x) => b.scope!.write.some((y) => overlap(x, y) !== undefined))
    known.set(b, meets)
  }
  return meets
}
