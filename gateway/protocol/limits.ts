/**
 * What the door lets through, and the codes with which it closes. Part of the protocol: clients may count on these numbers.
 * `test/e2e/door` sends one more than each.
 */

/** The only path for sockets, and the subprotocol that both sides name. */
export const SOCKET_PATH = "/v1"
export const SUBPROTOCOL = "berth.v1"
/** Browsers cannot set headers: they offer `berth.token.<jwt>` as a second subprotocol. It is never echoed. */
export const TOKEN_SUBPROTOCOL_PREFIX = "berth.token."

export const DOOR = {
  /** Bytes of one message. */
  frameBytesMax: 1024 * 1024,
  /** Fragments of one message. */
  fragmentsMax: 64,
  /** All bytes of a request's head, which is all that exists before authentication. */
  headBytesMax: 4 * 1024,
  /** Messages that a connection may send: sustained, and at once. */
  messagesPerSecond: 50,
  messagesBurst: 200,
  /** A message longer than this counts as several: one for each such part of it. */
  messageBytesCounted: 64 * 1024,
  /** Messages refused in a row before the connection is closed with 4429. */
  messagesRefusedMax: 200,
  /** Requests of one connection that are not yet answered. */
  inFlightMax: 64,
  subscriptionsMax: 100,
  /** Arrays and objects inside each other, the message itself included. */
  jsonDepthMax: 32,
  /** Keys of any one object. */
  jsonKeysMax: 1_000,
  /** Values of a whole message. */
  jsonValuesMax: 100_000,
  /** UTF-8 bytes of any one string, keys included. */
  stringBytesMax: 256 * 1024,
  /** Characters of a request's id. */
  requestIdCharsMax: 128,
  /** A request that was not answered by then is answered with DEADLINE_EXCEEDED. */
  requestMsMax: 30_000,
  pingEveryMs: 15_000,
  /** A peer of whom nothing was heard for this long is gone. */
  silenceMsMax: 30_000,
  /** Bytes waiting for a slow reader; watches pause there. */
  unsentBytesMax: 4 * 1024 * 1024,
  /** A reader that stays above `unsentBytesMax` for this long is closed with 1013. */
  unsentMsMax: 10_000,
  /** A token's time from now to its `exp`. */
  tokenMsMax: 24 * 60 * 60 * 1_000,
  tokenBytesMax: 3 * 1024,
  /** Difference of clocks that is forgiven for `nbf`. */
  clockSkewMs: 60_000,
  /** A socket outlives its token by no more than this. */
  expiryCheckMs: 5_000,
  connectionsMax: 1_000,
  connectionsPerOwnerMax: 100,
  /** Downloads under way: each may hold an artifact in memory until it has been read. */
  downloadsMax: 32,
  downloadsPerOwnerMax: 4,
  /** A request's head must have arrived by then. */
  headMsMax: 10_000,
  /** Ids in one `dlq.requeue`. */
  requeueMax: 100,
} as const

/** Rows of a page when the request names none. */
export const LIST_PAGE_DEFAULT = 50

/**
 * Why a socket was closed. The first six are RFC 6455's; a client may connect again at once after 1001, 1012 and 1013.
 * A bad request is answered and not closed for, and nobody is let in who would be thrown out, so 4400, 4403 and 4408 are
 * only kept: a client that knows them will not connect again.
 */
export const CLOSE_CODES = {
  goingAway: 1001,
  policyViolation: 1008,
  tooLarge: 1009,
  internal: 1011,
  restart: 1012,
  tryAgainLater: 1013,
  badRequest: 4400,
  unauthorized: 4401,
  forbidden: 4403,
  initTimeout: 4408,
  tooMany: 4429,
} as const

export type CloseCode = (typeof CLOSE_CODES)[keyof typeof CLOSE_CODES]
