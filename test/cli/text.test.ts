/** Goal: nothing that a worker or a plan says can command a terminal; columns stay columns. Method: tables, and a property over cuts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toJson } from '../../src/cli/output.ts'
import { count, showAge, showBytes, showClock, showDuration } from '../../src/cli/quantity.ts'
import { formatTable } from '../../src/cli/table.ts'
import { createStripper, line, pad, safe, truncate, width } from '../../src/cli/text.ts'

const ESC = '\u001b'

describe('stripping', () => {
  it.each([
    ['colours', `${ESC}[31mred${ESC}[0m`, 'red'],
    ['cursor moves', `a${ESC}[2A${ESC}[0Jb`, 'ab'],
    ['private modes', `${ESC}[?25lx${ESC}[?1049h`, 'x'],
    ['a title (BEL)', `${ESC}]0;owned\u0007x`, 'x'],
    ['a title (ST)', `${ESC}]0;owned${ESC}\\x`, 'x'],
    ['a clipboard write', `${ESC}]52;c;ZXZpbA==\u0007x`, 'x'],
    ['a link', `${ESC}]8;;http://evil${ESC}\\click${ESC}]8;;${ESC}\\`, 'click'],
    ['device control', `${ESC}P+q544e${ESC}\\x`, 'x'],
    ['APC and PM', `${ESC}_a${ESC}\\${ESC}^b${ESC}\\x`, 'x'],
    ['C1 sequences', '\u009b31mred\u009d0;t\u009cx\u0090q\u009cy', 'redxy'],
    ['C1 alone', 'a\u0085b\u008dc', 'abc'],
    ['charset choice', `${ESC}(Bx${ESC}=y`, 'xy'],
    ['a reset', `${ESC}cx`, 'x'],
    ['bells, backspaces, DEL, NUL', 'a\u0007\u0008\u007f\u0000b', 'ab'],
    ['carriage returns', 'a\rb\r\nc\n', 'a\nb\nc\n'],
    ['direction overrides', 'a\u202eb\u2066c\u200f', 'abc'],
    ['a string that never ends', `${ESC}]0;owned\nnext`, '\nnext'],
    ['a sequence that is cut by a line', `${ESC}[31\nnext`, '\nnext'],
    ['a sequence that is cut by another', `${ESC}[3${ESC}[1mx`, 'x'],
    ['plain text', 'grüße 漢字 🙂\ttab\n', 'grüße 漢字 🙂\ttab\n'],
  ])('[CL4] %s', (_name, text, expected) => {
    expect(safe(text)).toBe(expected)
  })

  it('[CL4] whatever is said, however it is cut, nothing but text, newline and tab is left', () => {
    const nasty = fc.constantFrom(
      ESC,
      '[',
      ']',
      '0;',
      'm',
      '\u0007',
      '\u009b',
      '\u009d',
      '\u009c',
      '\\',
      'P',
      '\n',
      '\r',
      'x',
      '\u202e',
      '🙂',
      '5',
    )
    fc.assert(
      fc.property(fc.array(nasty, { maxLength: 40 }), fc.nat(10), (parts, size) => {
        const text = parts.join('')
        const strip = createStripper()
        let cut = ''
        const points = [...text]
        for (let at = 0; at < points.length; at += size + 1)
          cut += strip(points.slice(at, at + size + 1).join(''))
        expect(cut).toBe(safe(text))
        expect(cut).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
      }),
      { numRuns: 1000 },
    )
  })

  it('[CL4] one line is one line', () => {
    expect(line(`  a\n\t b${ESC}[2J\r\nc  `)).toBe('a b c')
  })

  it('[CL4] JSON shows no control character either', () => {
    const json = toJson({ a: `${ESC}]0;x\u0007 \u009b \u007f` })
    expect(json).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
    expect(JSON.parse(json)).toEqual({ a: `${ESC}]0;x\u0007 \u009b \u007f` })
  })
})

describe('columns', () => {
  it.each([
    ['abc', 3],
    ['漢字', 4],
    ['é', 1],
    ['e\u0301', 1],
    ['🙂', 2],
    ['', 0],
  ] as const)('[CL19] %j is %d wide', (text, columns) => {
    expect(width(text)).toBe(columns)
  })

  it('[CL19] cutting and padding keep the width', () => {
    expect(truncate('abcdef', 4)).toBe('abc…')
    expect(truncate('漢字漢字', 4)).toBe('漢…')
    expect(truncate('abc', 3)).toBe('abc')
    expect(truncate('abc', 0)).toBe('')
    expect(pad('漢', 4)).toBe('漢  ')
    expect(pad('1', 3, 'left')).toBe('  1')
  })

  it('[CL19] a table fits the terminal; its flexible column is cut', () => {
    const rows = [
      ['a', 'x'.repeat(100), '1'],
      ['漢字', 'short', '22'],
    ]
    const head = [{ title: 'id' }, { title: 'about', flexible: true }, { title: 'n', side: 'right' as const }]
    const table = formatTable(head, rows, 40)
    for (const text of table.split('\n')) expect(width(text)).toBeLessThanOrEqual(40)
    const [title, first, second] = table.split('\n')
    expect(title!.indexOf('about')).toBe(6)
    expect(first).toMatch(/^a {5}x+… {3}1$/)
    expect(width(second!)).toBe(40)
    expect(formatTable(head, rows)).toContain('x'.repeat(100))
  })
})

describe('quantities', () => {
  it('[CL10] spans, ages, sizes and counts', () => {
    expect([0, 420, 9_949, 9_950, 41_000, 725_000, 3_723_000, -5].map(showDuration)).toEqual([
      '0.0 s',
      '0.4 s',
      '9.9 s',
      '0:09',
      '0:41',
      '12:05',
      '1:02:03',
      '0.0 s',
    ])
    expect([5_000, 180_000, 7_200_000, 400_000_000].map(showAge)).toEqual(['5 s', '3 min', '2 h', '5 d'])
    expect([0, 999, 12_345, 999_960, 4_000_000, 5e12].map(showBytes)).toEqual([
      '0 B',
      '999 B',
      '12.3 kB',
      '1.0 MB',
      '4.0 MB',
      '5.0 TB',
    ])
    expect([count(1, 'file'), count(2, 'file')]).toEqual(['1 file', '2 files'])
    expect(showClock(new Date(2026, 0, 2, 3, 4, 5).getTime())).toBe('03:04:05')
  })
})
