/**
 * Plays a recording: one JSON object for each line, `afterMs` (a span before it) and one of
 *
 *     {"event": {…}}                      a normalised event
 *     {"raw": "text"}                     a line as it is, also one that is no event
 *     {"write": {"path", "content"}}      a file, relative to the working directory; tells `file-changed`
 *     {"sleepMs": n}
 *     {"ignoreTerm": true}                heeds no SIGTERM from here on
 *     {"exit": n}                         ends here
 *
 * Standard output carries the events as JSON lines.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

interface Line {
  readonly afterMs?: number
  readonly event?: unknown
  readonly raw?: string
  readonly write?: { readonly path: string; readonly content: string }
  readonly sleepMs?: number
  readonly ignoreTerm?: boolean
  readonly exit?: number
}

function tell(text: string): void {
  const bytes = Buffer.from(`${text}\n`)
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function refuse(message: string): never {
  writeSync(2, `${message}\n`)
  process.exit(2)
}

async function play(line: Line): Promise<void> {
  if (line.afterMs) await sleep(line.afterMs)
  if (line.event !== undefined) tell(JSON.stringify(line.event))
  if (line.raw !== undefined) tell(line.raw)
  if (line.write) {
    const op = existsSync(line.write.path) ? 'modify' : 'add'
    mkdirSync(dirname(line.write.path), { recursive: true })
    writeFileSync(line.write.path, line.write.content)
    tell(JSON.stringify({ type: 'file-changed', path: line.write.path, op }))
  }
  if (line.ignoreTerm) process.on('SIGTERM', () => {})
  if (line.sleepMs) await sleep(line.sleepMs)
  if (line.exit !== undefined) process.exit(line.exit)
}

const path = process.argv[2] ?? refuse('usage: scripted-player FILE')
if (!existsSync(path)) refuse(`script not found: ${path}`)
for (const [index, text] of readFileSync(path, 'utf8').split('\n').entries()) {
  if (text.trim() === '') continue
  let line: Line
  try {
    line = JSON.parse(text) as Line
  } catch {
    refuse(`${path}:${index + 1}: not JSON`)
  }
  await play(line)
}
