/**
 * What a request must show before anything is done for it (X16). A web page can make a browser send requests here, under a name that it points to this
 * machine, but it cannot forge `Host` and `Origin`, and it does not know the token.
 */
import { OrchError } from '../core/error.ts'
import type { Caller } from './caller.ts'

export interface RequestHead {
  readonly host: string | undefined
  readonly origin: string | undefined
  readonly authorization: string | undefined
  readonly contentType: string | undefined
  /** True for requests with a body. */
  readonly hasBody: boolean
}

/** `127.0.0.1:PORT` and its other names. */
export function hostsOf(port: number): ReadonlySet<string> {
  return new Set(['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${port}`))
}

/** @throws ORCH_DENIED for a wrong host, origin or token; ORCH_USAGE for a body that is not JSON */
export function guard(
  head: RequestHead,
  hosts: ReadonlySet<string>,
  gate: (token: string | undefined) => Caller | undefined,
): Caller {
  if (head.host === undefined || !hosts.has(head.host.toLowerCase())) {
    throw new OrchError('ORCH_DENIED', `the host ${show(head.host)} is not one of this node`, {
      hint: `ask ${[...hosts].join(', ')}`,
    })
  }
  if (head.origin !== undefined && !isOwnOrigin(head.origin, hosts)) {
    throw new OrchError('ORCH_DENIED', `the origin ${show(head.origin)} may not ask this node`, {
      hint: 'pages of other sites have no access',
    })
  }
  const caller = gate(/^Bearer ([!-~]+)$/i.exec(head.authorization ?? '')?.[1])
  if (!caller) {
    throw new OrchError(
      'ORCH_DENIED',
      head.authorization === undefined ? 'the request has no token' : "the token is nobody's",
      {
        hint: 'send `Authorization: Bearer TOKEN`; the token is in `endpoint.json` of the data directory, or in ORCH_TOKEN of an attempt',
      },
    )
  }
  if (head.hasBody && !/^application\/json *(?:;|$)/i.test(head.contentType ?? '')) {
    throw new OrchError('ORCH_USAGE', `the content type ${show(head.contentType)} is not taken`, {
      hint: 'send `Content-Type: application/json`',
    })
  }
  return caller
}

function isOwnOrigin(origin: string, hosts: ReadonlySet<string>): boolean {
  return origin.startsWith('http://') && hosts.has(origin.slice('http://'.length).toLowerCase())
}

function show(text: string | undefined): string {
  return text === undefined ? '(none)' : JSON.stringify(text.slice(0, 100))
}
