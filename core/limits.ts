/**
 * A limit on everything: each has a name, a unit and a test that sends one more.
 * Limits that an operator may change are in config.ts; those here are part of the format or of the protocol.
 */
export const LIMITS = {
  /** Events in one record. */
  recordEventsMax: 64,
  /** Bytes of one encoded record. */
  recordBytesMax: 256 * 1024,
  /** A program larger than this is a blob, not part of the first record. */
  programInlineBytesMax: 64 * 1024,
  /** Bytes of all that a program brings along (files, stdin, arguments, environment). */
  programBytesMax: 16 * 1024 * 1024,
  filesMax: 1_000,
  filePathBytesMax: 255,
  argsMax: 256,
  envMax: 128,
  envNameBytesMax: 128,
  envValueBytesMax: 32 * 1024,
  /** Of one owner. */
  secretsMax: 256,
  secretBytesMax: 32 * 1024,
  /** That one task may name. */
  taskSecretsMax: 32,
  labelsMax: 32,
  labelBytesMax: 128,
  maxAttemptsMax: 100,
  retryDelayMsMax: 24 * 60 * 60 * 1_000,
  timeoutMsMax: 24 * 60 * 60 * 1_000,
  graceMsMax: 60 * 1_000,
  /** How far ahead `startAtMs` and `startByMs` may lie. */
  startAheadMsMax: 366 * 24 * 60 * 60 * 1_000,
  memoryBytesMin: 16 * 1024 * 1024,
  idempotencyKeyBytesMax: 256,
  /** Earlier attempts that the state keeps; older ones stay in the log only. */
  attemptsKeptMax: 20,
  /** Bytes of each output stream that are kept from its beginning, and from its end. */
  outputHeadBytesMax: 1024 * 1024,
  outputTailBytesMax: 64 * 1024,
  /** Bytes of one output chunk in the log. */
  chunkBytesMax: 64 * 1024,
  resultValueBytesMax: 64 * 1024,
  messageBytesMax: 2_048,
  artifactEntriesMax: 1_000,
  artifactBytesMax: 16 * 1024 * 1024,
  artifactsBytesMax: 64 * 1024 * 1024,
  /** Bytes of the list of an attempt's artifacts as JSON; the record of its end has it twice. */
  artifactListBytesMax: 96 * 1024,
  artifactPathBytesMax: 255,
  artifactDepthMax: 16,
  /** Worker deaths after which a task that was running is quarantined. */
  workerDeathsMax: 3,
  listPageMax: 500,
  /** Bytes of the stored rows of a page; one row is always given. */
  listPageBytesMax: 4 * 1024 * 1024,
  admissionsPerRecordMax: 64,
} as const
