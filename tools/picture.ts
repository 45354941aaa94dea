/**
 * Draws docs/picture.svg: the quick start as a terminal showed it, recorded from a real run of the real command line. Run with tsx after a change of the live view
 * or of the plan. Programs that do not animate pictures show the last moment.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeRepository } from '../examples/quickstart/make-repository.mjs'
import { createMachine } from '../src/cli/machine.ts'
import { runProgram } from '../src/cli/program.ts'
import { width } from '../src/cli/text.ts'
import type { Sink } from '../src/cli/world.ts'

const COLUMNS = 92
const ROWS = 40
/** How long the end stays before it begins again. */
const HOLD_MS = 5_000

/** The command line is alone on the screen so long, before the first frame. */
const FIRST_MS = 700

interface Span {
  readonly text: string
  /** Column of its first character, from 0. */
  readonly column: number
  readonly color: string
  readonly isBold: boolean
}

/** One line of the screen as it stood from `start` to `end`, ms. */
interface Stay {
  readonly row: number
  readonly spans: readonly Span[]
  readonly start: number
  end: number
}

const COLORS: Readonly<Record<number, string>> = {
  31: '#f7768e',
  32: '#9ece6a',
  33: '#e0af68',
  36: '#7dcfff',
}
const PLAIN = '#c0caf5'
const DIM = '#737aa2'

/** As much of a terminal as the live view uses: lines, cursor up, erase below, colours. */
class Recorder implements Sink {
  readonly isTerminal = true
  readonly columns = COLUMNS
  readonly rows = ROWS
  readonly stays: Stay[] = []
  readonly #lines: string[] = []
  readonly #shown = new Map<number, { readonly line: string; readonly stay: Stay }>()
  #start: number | undefined
  #row = 0
  #endMs = 0

  write(chunk: string | Uint8Array): void {
    // Cursor up and erase come first in a frame, so the rest is whole lines.
    for (const part of String(chunk).split(/(\u001b\[\d+A|\u001b\[0J|\u001b\[\?25[lh]|\n)/)) {
      const up = /^\u001b\[(\d+)A$/.exec(part)
      if (up) this.#row -= Number(up[1])
      else if (part === '\u001b[0J') this.#lines.length = this.#row
      else if (part === '\n') this.#row++
      else if (part !== '' && !part.startsWith('\u001b[?'))
        this.#lines[this.#row] = (this.#lines[this.#row] ?? '') + part
    }
    this.#start ??= performance.now() - FIRST_MS
    this.#note(performance.now() - this.#start)
  }

  get endMs(): number {
    return this.#endMs
  }

  #note(now: number): void {
    this.#endMs = now
    for (let row = 0; row < Math.max(this.#lines.length, ROWS); row++) {
      const line = this.#lines[row] ?? ''
      const before = this.#shown.get(row)
      if (before?.line === line) continue
      if (before) before.stay.end = now
      this.#shown.delete(row)
      if (line === '') continue
      const stay: Stay = { row, spans: readSpans(line), start: now, end: Number.POSITIVE_INFINITY }
      this.stays.push(stay)
      this.#shown.set(row, { line, stay })
    }
  }
}

function readSpans(line: string): Span[] {
  const spans: Span[] = []
  let color = PLAIN
  let isBold = false
  let column = 0
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    const code = /^\u001b\[(\d+)m$/.exec(part)
    if (!code) {
      // Each word has a place of its own, so that columns stay in line whatever font there is.
      for (const [word] of part.matchAll(/ *(?:[^ ]+ ?)*[^ ]+| +/g)) {
        const text = word.trimStart()
        if (text !== '') spans.push({ text, column: column + width(word) - width(text), color, isBold })
        column += width(word)
      }
      continue
    }
    const n = Number(code[1])
    if (n === 1) isBold = true
    else if (n === 2) color = DIM
    else if (n === 22) {
      isBold = false
      color = color === DIM ? PLAIN : color
    } else color = COLORS[n] ?? PLAIN
  }
  return spans
}

const CHAR_WIDTH = 8.43
const LINE_HEIGHT = 19
const PAD = 16

function draw(stays: readonly Stay[], endMs: number): string {
  const last = stays.reduce((most, { row }) => Math.max(most, row), 0)
  const full = Math.ceil(COLUMNS * CHAR_WIDTH + 2 * PAD)
  const height = (last + 2) * LINE_HEIGHT + 2 * PAD
  const totalMs = endMs + HOLD_MS
  const at = (ms: number) => Math.min(1, ms / totalMs).toFixed(4)
  // What came and went within one frame cannot be seen.
  const seen = stays.filter(({ start, end }) => at(start) !== at(end))
  const texts = seen.map(({ row, spans, start, end }) => {
    const y = PAD + (row + 2) * LINE_HEIGHT - 5
    const words = spans.map(
      ({ text, column, color, isBold }) =>
        `<tspan x="${(PAD + column * CHAR_WIDTH).toFixed(1)}" fill="${color}"${isBold ? ' font-weight="bold"' : ''}>${escapeText(text)}</tspan>`,
    )
    const isLast = end === Number.POSITIVE_INFINITY
    const values = isLast ? 'hidden;visible' : 'hidden;visible;hidden'
    const times = isLast ? `0;${at(start)}` : `0;${at(start)};${at(end)}`
    const animate = `<animate attributeName="visibility" calcMode="discrete" dur="${(totalMs / 1000).toFixed(1)}s" repeatCount="indefinite" values="${values}" keyTimes="${times}"/>`
    return `<text y="${y}"${isLast ? '' : ' visibility="hidden"'}>${words.join('')}${animate}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${full} ${height}" width="${full}" height="${height}" role="img">
<title>A run of the quick start on a terminal</title>
<rect width="100%" height="100%" rx="8" fill="#1a1b26"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<text x="${PAD}" y="${PAD + LINE_HEIGHT - 5}" fill="${PLAIN}"><tspan fill="${DIM}">$</tspan><tspan dx="9">orch-node run plan.yaml</tspan></text>
${texts.join('\n')}
</g>
</svg>
`
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const dir = await mkdtemp(join(tmpdir(), 'orch-picture-'))
try {
  await makeRepository(join(dir, 'measure'))
  const recorder = new Recorder()
  const machine = createMachine()
  const world = {
    ...machine,
    env: { ...machine.env, FORCE_COLOR: '1', NO_COLOR: '' },
    stdout: recorder,
    stderr: recorder,
  }
  const plan = fileURLToPath(new URL('../examples/quickstart/plan.yaml', import.meta.url))
  const code = await runProgram(
    ['run', plan, '--repo', join(dir, 'measure'), '--data-dir', join(dir, 'data'), '--http', '0'],
    world,
  )
  if (code !== 0) throw new Error(`the run ended with exit code ${code}`)
  await writeFile(new URL('../docs/picture.svg', import.meta.url), draw(recorder.stays, recorder.endMs))
} finally {
  await rm(dir, { recursive: true, force: true })
}
