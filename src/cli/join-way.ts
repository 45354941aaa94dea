/**
 * Ways into a cluster as they are given: an invitation, or the address of a member. An invitation is a secret, so it is never told again: neither in an error nor in a list of
 * settings, and never handed on as an argument, which every user of the machine could read.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { JOIN_FILE_BYTES_MAX, JOIN_WAY_CHARS_MAX } from '../core/limit.ts'
import type { JoinUpdate } from '../node/face.ts'
import { readAddress } from './address.ts'
import { usage } from './failure.ts'
import { line } from './text.ts'

const HINT = 'give the token that `orch-node invite` printed, or the address of a member: HOST:PORT'

/** How every invitation begins, however it was pasted. */
const INVITATION = /^orch\d+-/i

/**
 * A token as it was given, or the multiaddr of an address. Whether a token is good only the node can say; what is none is said before a node is started for it.
 *
 * @throws ORCH_USAGE naming its source
 */
export function readWay(text: string, source: string): string {
  const way = text.trim()
  if (way === '') throw usage(`${source} is empty`, HINT)
  if (way.length > JOIN_WAY_CHARS_MAX)
    throw usage(`${source} has more than ${JOIN_WAY_CHARS_MAX} characters: it is no invitation`, HINT)
  // No invitation has a colon or a slash in it.
  const isAddress = /[:/]/.test(way)
  if (!isAddress && INVITATION.test(way.replace(/[\s\u200b]+/g, ''))) return way
  const address = isAddress ? readAddress(way) : undefined
  if (address === undefined) throw usage(`${source} is neither an invitation nor an address`, HINT)
  return address
}

/**
 * A file holds one way; a token may be wrapped over several lines.
 *
 * @throws ORCH_USAGE
 */
export function readWayFile(path: string, source: string): string {
  const bytes = Buffer.alloc(JOIN_FILE_BYTES_MAX + 1)
  let length = 0
  try {
    const fd = openSync(path, 'r')
    try {
      for (let read = 1; read > 0 && length < bytes.length; length += read)
        read = readSync(fd, bytes, length, bytes.length - length, null)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw usage(`${source} ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`, HINT)
  }
  if (length > JOIN_FILE_BYTES_MAX)
    throw usage(`${source} ${path} has more than ${JOIN_FILE_BYTES_MAX} bytes: it holds no invitation`, HINT)
  return readWay(bytes.toString('utf8', 0, length), `${source} ${path}`)
}

/** For lists of settings. */
export function showWay(way: string): string {
  return readAddress(way) === undefined ? '(an invitation)' : way
}

/**
 * What a person is told on the way in.
 *
 * @param name of the node that wants to come in
 */
export function joinLines(update: JoinUpdate, name: string): readonly string[] {
  if (update.type === 'joined') return [`joined the cluster ${line(update.name)} as ${update.role}`]
  return [
    `six words: ${line(update.words)}`,
    `waiting for approval: on ${line(update.at)} the same six words are to be seen in \`orch-node members\`; there run: orch-node members approve ${shellWord(name)}`,
  ]
}

/** A name as a shell reads it back. */
export function shellWord(text: string): string {
  return isPlainWord(text) ? text : `'${line(text).replaceAll("'", `'\\''`)}'`
}

/** No shell sees anything but a word in it. */
export function isPlainWord(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text)
}
