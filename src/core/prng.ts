/**
 * Seeded randomness (sfc32 by Chris Doty-Humphrey). The seed is an input, so a whole run can be repeated from one number.
 */
export interface Prng {
  /** Uniform in [0, 1). */
  next(): number
}

export function createPrng(seed: number): Prng {
  let a = 0x9e3779b9 | 0
  let b = seed | 0
  let c = Math.floor(seed / 2 ** 32) | 0
  let d = 1
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return (t >>> 0) / 2 ** 32
  }
  // The first outputs still show the seed's pattern.
  for (let i = 0; i < 15; i++) next()
  return { next }
}
