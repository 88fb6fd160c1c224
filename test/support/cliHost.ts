/** A host of the command line whose terminal is memory, and whose server is the one that the test gives it. */
import type { BerthClient } from "../../gateway/client/publicTypes.ts"
import { connect } from "../../gateway/client/index.ts"
import type { CliHost, CliSignal } from "../../gateway/cli/host.ts"
import { settle } from "./clock.ts"
import { runCli } from "../../gateway/cli/program.ts"

export interface FakeHost {
  readonly host: CliHost
  /** Runs one command line; resolves with its exit code. */
  readonly run: (...argv: string[]) => Promise<number>
  readonly out: () => string
  readonly outBytes: () => Uint8Array
  readonly err: () => string
  readonly lastErrLine: () => string
  /** Lines of standard output, read as JSON. */
  readonly outJson: () => readonly unknown[]
  readonly signal: (signal: CliSignal) => void
  /** Resolves when standard error holds this text. */
  readonly errHas: (text: string) => Promise<void>
  /** Runs the timers that are armed. */
  readonly fireTimers: () => void
  /** Lets time pass, as far as timers go, until this has settled. */
  readonly pass: <A>(promise: Promise<A>) => Promise<A>
  readonly clear: () => void
}

export interface FakeHostOptions {
  readonly server?: { readonly url: string; readonly token: string }
  readonly stdin?: Uint8Array
  readonly isTty?: boolean
  readonly more?: Partial<CliHost>
}

const unavailable = (what: string) => () => Promise.reject(new Error(`this host has no ${what}`))

export function fakeHost(options: FakeHostOptions = {}): FakeHost {
  const written = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
  const handlers = new Set<(signal: CliSignal) => void>()
  const timers = new Set<() => void>()
  let wakers: (() => void)[] = []
  const changed = () => {
    const woken = wakers
    wakers = []
    for (const wake of woken) wake()
  }
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise<void>((resolve) => wakers.push(resolve))
  }
  const output = (name: "stdout" | "stderr") => ({
    isTty: options.isTty ?? false,
    write: async (chunk: string | Uint8Array) => {
      written[name].push(Buffer.from(chunk))
      changed()
    },
  })
  const text = (name: "stdout" | "stderr") => Buffer.concat(written[name]).toString()
  const read = async (): Promise<Uint8Array> => options.stdin ?? new Uint8Array()
  const host: CliHost = {
    stdout: output("stdout"),
    stderr: output("stderr"),
    stdin: { isTty: false, readAll: read, readHidden: read },
    onSignal: (handler) => {
      handlers.add(handler)
      changed()
      return () => void handlers.delete(handler)
    },
    version: "0.0.0",
    env: {},
    after: (_ms, callback) => {
      timers.add(callback)
      changed()
      return () => void timers.delete(callback)
    },
    nowMs: () => 1_750_000_010_000,
    connect: (url, more): Promise<BerthClient> => connect(url, more),
    locate: async () => options.server ?? null,
    openEmbedded: unavailable("embedded server"),
    serve: unavailable("server"),
    mintToken: unavailable("secret"),
    doctor: unavailable("doctor"),
    rotateSecretsKey: unavailable("data directory"),
    brokerPermissions: unavailable("broker"),
    backup: unavailable("backup"),
    restore: unavailable("backup"),
    ...options.more,
  }
  const fireTimers = () => {
    const due = [...timers]
    timers.clear()
    for (const callback of due) callback()
  }
  return {
    host,
    run: (...argv) => runCli(argv, host),
    out: () => text("stdout"),
    outBytes: () => Buffer.concat(written.stdout),
    err: () => text("stderr"),
    lastErrLine: () => text("stderr").trimEnd().split("\n").at(-1) ?? "",
    outJson: () =>
      text("stdout")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as unknown),
    signal: (signal) => {
      for (const handler of [...handlers]) handler(signal)
    },
    errHas: (wanted) => until(() => text("stderr").includes(wanted)),
    fireTimers,
    pass: async (promise) => {
      let isSettled = false
      const mark = () => {
        isSettled = true
      }
      promise.then(mark, mark)
      while (!isSettled) {
        await settle(1)
        fireTimers()
      }
      return promise
    },
    clear: () => {
      written.stdout = []
      written.stderr = []
    },
  }
}
