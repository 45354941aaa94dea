/** What orch-node tells a worker of the attempts before it: the task file holds their last output and why they did not count. */
import { readFileSync } from 'node:fs'

/** @returns {string} empty on the first attempt, and when a person runs the program by hand */
export function earlierAttempts() {
  const file = process.env.ORCH_TASK_FILE
  return file ? JSON.parse(readFileSync(file, 'utf8')).hints.join('\n') : ''
}
