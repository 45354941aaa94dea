/**
 * SHA-256 (FIPS 180-4) in plain TypeScript, because the core may touch neither node: modules nor the platform's crypto, and every node must
 * compute the same digest from the same text. About 3 us for a short key: used for elections and seals, never per byte of a worker's output.
 */
const K = new Uint32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
])

const INITIAL = new Uint32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
])

const W = new Uint32Array(64)

function utf8(text: string): Uint8Array {
  const out: number[] = []
  for (const ch of text) {
    const c = ch.codePointAt(0)!
    if (c < 0x80) out.push(c)
    else if (c < 0x800) out.push(0xc0 | (c >> 6), 0x80 | (c & 63))
    else if (c < 0x10000) out.push(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63))
    else out.push(0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63))
  }
  return Uint8Array.from(out)
}

/** What is hashed most are short keys of plain letters: they need no memory of their own. */
const SHORT = new Uint8Array(256)
const SHORT_VIEW = new DataView(SHORT.buffer)

/** Bytes of a short text of ASCII, written to `SHORT`; -1 for any other. */
function writeShort(text: string): number {
  if (text.length + 9 > SHORT.length) return -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return -1
    SHORT[i] = code
  }
  return text.length
}

function words(text: string): Uint32Array {
  let [padded, view] = [SHORT, SHORT_VIEW]
  let length = writeShort(text)
  let end = (((length + 8) >> 6) + 1) << 6
  if (length < 0) {
    const bytes = utf8(text)
    length = bytes.length
    end = (((length + 8) >> 6) + 1) << 6
    padded = new Uint8Array(end)
    padded.set(bytes)
    view = new DataView(padded.buffer)
  } else padded.fill(0, length, end)
  padded[length] = 0x80
  view.setUint32(end - 8, Math.floor(length / 0x20000000))
  view.setUint32(end - 4, (length << 3) >>> 0)
  const h = INITIAL.slice()
  for (let offset = 0; offset < end; offset += 64) {
    for (let i = 0; i < 16; i++) W[i] = view.getUint32(offset + i * 4)
    for (let i = 16; i < 64; i++) {
      const x = W[i - 15]!
      const y = W[i - 2]!
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
      W[i] = (W[i - 16]! + s0 + W[i - 7]! + s1) | 0
    }
    let a = h[0]!
    let b = h[1]!
    let c = h[2]!
    let d = h[3]!
    let e = h[4]!
    let f = h[5]!
    let g = h[6]!
    let k = h[7]!
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
      const t1 = (k + s1 + ((e & f) ^ (~e & g)) + K[i]! + W[i]!) | 0
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      k = g
      g = f
      f = e
      e = (d + t1) | 0
      d = c
      c = b
      b = a
      a = (t1 + t2) | 0
    }
    h[0]! += a
    h[1]! += b
    h[2]! += c
    h[3]! += d
    h[4]! += e
    h[5]! += f
    h[6]! += g
    h[7]! += k
  }
  return h
}

/** Lower-case hex, 64 characters. Lone surrogates hash as they are, so the caller's text must be well formed. */
export function sha256Hex(text: string): string {
  let out = ''
  for (const word of words(text)) out += word.toString(16).padStart(8, '0')
  return out
}

/** The first 53 bits of SHA-256 as a fraction in (0, 1): uniform over keys, the same on every machine. */
export function hashFraction(text: string): number {
  const h = words(text)
  return (h[0]! * 0x200000 + (h[1]! >>> 11) + 0.5) / 2 ** 53
}
