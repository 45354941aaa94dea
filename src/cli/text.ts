/**
 * Text on a terminal. What comes from plans and workers may hold control sequences that would move the cursor, change the title, or write to the
 * clipboard: they are taken out before it is shown (X18).
 */

type State = 'text' | 'escape' | 'sequence' | 'string' | 'string-escape'

/**
 * Takes control characters (C0 but newline and tab, DEL, C1), escape sequences (CSI), control strings (OSC, DCS, APC, PM, SOS) and
 * direction overrides out of a text that arrives in pieces. `\r\n` becomes `\n`, a lone `\r` too, so that a progress bar stays readable.
 */
export function createStripper(): (text: string) => string {
  let state: State = 'text'
  let afterReturn = false
  return (text) => {
    let out = ''
    for (const char of text) {
      const code = char.codePointAt(0)!
      if (state === 'text') {
        if (code === 0x0d) out += '\n'
        else if (code === 0x0a) out += afterReturn ? '' : '\n'
        else if (code === 0x1b) state = 'escape'
        else if (code === 0x9b) state = 'sequence'
        else if (code === 0x90 || code === 0x98 || code === 0x9d || code === 0x9e || code === 0x9f)
          state = 'string'
        else if (code === 0x09 || (code >= 0x20 && code < 0x7f) || (code > 0x9f && !isDirection(code)))
          out += char
        afterReturn = code === 0x0d
        continue
      }
      if (state === 'escape') {
        if (char === '[') state = 'sequence'
        else if (']PX^_'.includes(char)) state = 'string'
        // Two-character sequences may have intermediate bytes first: `ESC ( B`.
        else if (code < 0x20 || code > 0x2f) state = 'text'
        continue
      }
      if (state === 'sequence') {
        if (code >= 0x40 && code <= 0x7e) state = 'text'
        // No such byte belongs into a sequence: it was cut short.
        else if (code < 0x20 || code > 0x7e) state = code === 0x1b ? 'escape' : 'text'
        if (code === 0x0a) out += '\n'
        continue
      }
      if (state === 'string-escape') state = char === '\\' ? 'text' : 'string'
      else if (code === 0x07 || code === 0x9c) state = 'text'
      else if (code === 0x1b) state = 'string-escape'
      // A string that never ends would swallow the rest: none of them spans lines.
      else if (code === 0x0a) {
        state = 'text'
        out += '\n'
      }
    }
    return out
  }
}

function isDirection(code: number): boolean {
  return (
    (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2066 && code <= 0x2069) ||
    code === 0x200e ||
    code === 0x200f ||
    code === 0x061c
  )
}

/** Safe text, lines kept. */
export function safe(text: string): string {
  return createStripper()(text)
}

/** Safe text on one line. */
export function line(text: string): string {
  return safe(text)
    .replace(/\s*[\n\t]\s*/g, ' ')
    .trim()
}

/** Columns that a text takes on a terminal. */
export function width(text: string): number {
  let columns = 0
  for (const char of text) columns += widthOf(char.codePointAt(0)!)
  return columns
}

function widthOf(code: number): number {
  if (code < 0x300) return 1
  // Combining marks, joiners and variation selectors.
  if (
    code <= 0x36f ||
    (code >= 0x200b && code <= 0x200d) ||
    (code >= 0xfe00 && code <= 0xfe0f) ||
    (code >= 0x20d0 && code <= 0x20ff)
  )
    return 0
  const wide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  return wide ? 2 : 1
}

/** At most `columns` wide; what is cut ends in `…`. */
export function truncate(text: string, columns: number): string {
  if (text.length <= columns && width(text) <= columns) return text
  let out = ''
  let used = 0
  for (const char of text) {
    const w = widthOf(char.codePointAt(0)!)
    if (used + w > columns - 1) break
    out += char
    used += w
  }
  return columns > 0 ? `${out}…` : ''
}

export function pad(text: string, columns: number, side: 'left' | 'right' = 'right'): string {
  const space = ' '.repeat(Math.max(0, columns - width(text)))
  return side === 'right' ? text + space : space + text
}
