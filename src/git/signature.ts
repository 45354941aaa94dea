/** Who and when, as commits write it. */
import { slug, type WallMs } from '../core/id.ts'

const COMMITTER = 'orch-node <orch-node@localhost>'

/** Mail domain of agents: reserved, so that it is nobody's. */
const MAIL_DOMAIN = 'orch-node.invalid'

export interface Person {
  readonly name: string
  readonly email: string
}

/** The same name gives the same mail address everywhere. */
export function agentPerson(name: string): Person {
  const clean = name
    .replace(/[<>\p{Cc}]/gu, ' ')
    .replace(/\s+/g, ' ')
    .replace(/^[\s.,:;"']+|[\s.,:;"']+$/g, '')
  const plain = clean === '' ? 'agent' : clean
  return { name: plain, email: `${slug(plain) || 'agent'}@${MAIL_DOMAIN}` }
}

/** Whole seconds, UTC. */
function stamp(at: WallMs): string {
  return `${Math.max(0, Math.floor(at / 1000))} +0000`
}

export function authorLine(name: string, at: WallMs): string {
  const person = agentPerson(name)
  return `${person.name} <${person.email}> ${stamp(at)}`
}

export function committerLine(at: WallMs): string {
  return `${COMMITTER} ${stamp(at)}`
}

/** One line, no control characters: a subject that cannot end the header or start a trailer block. */
export function subjectLine(title: string): string {
  return title.replace(/\p{Cc}+/gu, ' ').trim() || '(no title)'
}
