/** What the server needs of a logger; pino's is one. Fields are data: nothing that a user sent goes into the message. */
export interface Logger {
  readonly debug: (fields: object, message: string) => void
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

const nothing = (): void => undefined

/** For embedding programs that do not ask for logs. */
export const SILENT: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
