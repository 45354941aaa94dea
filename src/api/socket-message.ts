/**
 * Messages of the local socket. The client's first is `hello`; it need not wait for an answer. Requests are multiplexed by `id`, which the client
 * counts up from 1.
 *
 *     client                                server
 *     {hello: 1, token}
 *     {id, method, params}          ──▶     {id, data} | {id, error}                 a call
 *     {id, method, params}          ──▶     {id, items} … {id, end} | {id, error}    a stream
 *     {id, ack: items}              ──▶                                              consumed: more may come
 *     {id, cancel: true}            ──▶                                              nothing more is wanted
 *                                           {error}                                  of the connection, which ends
 */
import type { WireError } from './wire-error.ts'

export const SOCKET_PROTOCOL = 1

export type ClientMessage =
  | { readonly hello: number; readonly token: string }
  | { readonly id: number; readonly method: string; readonly params?: unknown }
  | { readonly id: number; readonly ack: number }
  | { readonly id: number; readonly cancel: true }

export type ServerMessage =
  | { readonly id: number; readonly data: unknown }
  | { readonly id: number; readonly items: readonly unknown[] }
  | { readonly id: number; readonly end: true }
  | { readonly id?: number; readonly error: WireError }
