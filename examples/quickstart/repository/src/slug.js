/**
 * A name for files and addresses: lower case letters, digits and `-`.
 *
 * @param {string} text
 * @returns {string} for example `creme-brulee` for `Crème brûlée!`
 */
export function slug(text) {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}
