/** What a gateway worker says of itself on its control socket. */
export interface GatewayStatus {
  /** Requests under way. */
  inFlight: number;
  isDraining: boolean;
  /** Lines of the audit trail that could not be written since its start. */
  auditLinesLost: number;
  /** The newest error of each kind since its start. */
  lastErrors: LastError[];
}

/** The newest error of one kind: of one code on one route. */
export interface LastError {
  /** Unix time in milliseconds. */
  at: number;
  status: number;
  code: string;
  /** Route, as metrics name it. */
  route: string;
  /** As its caller read it. */
  message: string;
  requestId: string;
  /** Name of the caller's key; null when there was none. */
  keyName: string | null;
}
