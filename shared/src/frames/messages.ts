import type { PlainError } from '../errors/request-error.ts';

/** What a client sends: a call, which says so when it was sent on an earlier connection already, or the end of interest in one. */
export type ClientMessage =
  | ['call', id: number, method: string, params: unknown, isRepeated?: boolean]
  | ['cancel', id: number];

/** What a server sends: the end of a call, one way or the other, or news that nobody asked for. */
export type ServerMessage =
  | ['result', id: number, value: unknown]
  | ['error', id: number, error: PlainError]
  | ['push', topic: string, value: unknown];
