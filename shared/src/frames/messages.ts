import type { PlainError } from '../errors/request-error.ts';

/** What a client sends: a call, or the end of interest in one. */
export type ClientMessage = ['call', id: number, method: string, params: unknown] | ['cancel', id: number];

/** What a server sends: the end of a call, one way or the other, or news that nobody asked for. */
export type ServerMessage =
  | ['result', id: number, value: unknown]
  | ['error', id: number, error: PlainError]
  | ['push', topic: string, value: unknown];
