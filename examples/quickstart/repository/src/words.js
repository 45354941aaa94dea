/**
 * A list as a sentence has it.
 *
 * @param {readonly string[]} words
 * @returns {string} for example `a, b and c`
 */
export function joinWords(words) {
  if (words.length < 2) return words.join('')
  return `${words.slice(0, -1).join(', ')}, and ${words.at(-1)}`
}

/**
 * A number with its noun.
 *
 * @param {number} count
 * @param {string} noun in the singular, with a plural in `s`
 * @returns {string} for example `3 files`
 */
export function plural(count, noun) {
  return `${count} ${noun}${count > 1 ? 's' : ''}`
}
