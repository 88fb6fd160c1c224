import type { BerthError } from "../../core/errors.ts"
import type { SubmitRequest } from "../../core/task/request.ts"
import { DOOR } from "../protocol/limits.ts"
import type { MethodResult } from "../protocol/methods.ts"
import type { Task } from "../protocol/task.ts"
import { Calls, type CallOptions } from "./calls.ts"
import { Connection } from "./connection.ts"
import { DeadLetters } from "./deadLetters.ts"
import { Downloads } from "./downloads.ts"
import { socketUrl } from "./endpoint.ts"
import type { BackendEvent, TaskEvent } from "./events.ts"
import { type TaskChange, TaskHandle, type TaskWatch, type WatchOptions } from "./handle.ts"
import { type ClientOptions, resolveOptions } from "./options.ts"
import { Pace } from "./pace.ts"
import { RestWaiter } from "./restWaiter.ts"
import { Rpc } from "./rpc.ts"
import { type RunOptions, type RunOutcome, runTask, type Submitted } from "./run.ts"
import { SecretNames } from "./secrets.ts"
import { WorkerEntries } from "./workers.ts"
import { Submits } from "./submits.ts"
import { TaskList, type TaskQuery } from "./taskList.ts"
import type { Timing } from "./timing.ts"
import { TokenRenewal } from "./tokenRenewal.ts"
import type { Transport } from "./transport.ts"
import type { Begun } from "./watch.ts"
import { WatchHub } from "./watchHub.ts"
import { readWatch } from "./watchReader.ts"

/** Below what the door lets through, so that nothing is refused on the way. */
const RPC = { inFlightMax: DOOR.inFlightMax / 2, waitingMax: 100_000, frameBytesMax: DOOR.frameBytesMax }
/** In one process: what is under way at once is written in one commit. */
const RPC_UNPACED = { ...RPC, inFlightMax: 5_000 }
const PACE = { perSecond: DOOR.messagesPerSecond * 0.9, burst: DOOR.messagesBurst * 0.75 }
const DELAYS = { delayMsInitial: 100, delayMsMax: 5_000 }

/**
 * A program's way to Berth: over a network, or to the server inside the same process. Every method rejects with a
 * BerthError, whose `code` tells what happened, or with the reason of the signal that aborted it. A lost connection is
 * made anew by itself; watches go on where they were.
 */
export class BerthClient {
  /** Dead letters. */
  readonly dlq: DeadLetters
  /** Secrets that tasks may name. */
  readonly secrets: SecretNames
  readonly workers: WorkerEntries
  readonly #connection: Connection
  readonly #transport: Transport
  readonly #timing: Timing
  readonly #hub: WatchHub
  readonly #calls: Calls
  readonly #waiter: RestWaiter
  readonly #submits: Submits
  readonly #downloads: Downloads
  #opened: () => void = () => {}
  #failed: (error: BerthError) => void = () => {}

  private constructor(options: ClientOptions) {
    const resolved = resolveOptions(options)
    const { timing, onConnection } = resolved
    const { token, transport } = options
    const urls = options.urls.map(socketUrl)
    this.#timing = timing
    this.#transport = transport
    this.#connection = new Connection(
      { ...resolved, ...DELAYS, urls, token, transport },
      {
        up: () => {
          this.#submits.up()
          rpc.up()
          this.#hub.up()
          this.#opened()
          renewal.up(this.#connection.usedToken)
          onConnection(true)
        },
        frame: (text) => rpc.frame(text),
        down: (error) => {
          renewal.down()
          rpc.down(error)
          this.#hub.down()
          onConnection(false)
        },
        ended: (error) => {
          rpc.end(error)
          this.#hub.end(error)
          this.#failed(error)
        },
        probe: () => void this.system().catch(() => {}),
      },
    )
    const pace = resolved.paced ? new Pace(timing, PACE.perSecond, PACE.burst) : null
    const rpc = new Rpc(this.#connection, timing, { ...(resolved.paced ? RPC : RPC_UNPACED), pace }, (method, params) =>
      this.#hub.notified(method, params),
    )
    const renewal = new TokenRenewal({
      timing,
      source: () => this.#connection.tokenSource,
      refresh: (fresh) => this.#calls.call("auth.refresh", { token: fresh }),
    })
    this.#hub = new WatchHub(rpc, () => this.#connection.isOpen)
    this.#calls = new Calls(rpc, this.#hub, resolved.deadlineMs)
    this.#submits = new Submits(this.#calls)
    const downloadsMax = resolved.paced ? DOOR.downloadsPerOwnerMax : Number.POSITIVE_INFINITY
    this.#downloads = new Downloads(timing, downloadsMax, resolved.deadlineMs)
    this.#waiter = new RestWaiter(this.#hub, timing, (taskId) => this.get(taskId))
    this.dlq = new DeadLetters(this.#calls)
    this.secrets = new SecretNames(this.#calls)
    this.workers = new WorkerEntries(this.#calls)
  }

  /** A client whose first connection is open. Rejects when no address answers, or all refuse. */
  static open(options: ClientOptions): Promise<BerthClient> {
    return new Promise((resolve, reject) => {
      const client = new BerthClient(options)
      client.#opened = () => resolve(client)
      client.#failed = reject
      client.#connection.start()
    })
  }

  /** Address of the server in use. */
  get url(): string {
    return this.#connection.url
  }

  /**
   * Submits a task and stays with it until it is at rest. A failed program is an outcome, not an error. Any number may be
   * under way: those beyond the watches that a connection may have (100) are told what happened once another has ended.
   */
  run(request: SubmitRequest, options: RunOptions = {}): Promise<RunOutcome> {
    return runTask((asked, signal) => this.#submitWatched(asked, signal), request, options)
  }

  /**
   * Submits a task; resolves once it is durable. Without an `idempotencyKey` it gets one of its own, so that a lost
   * answer never makes a second task.
   */
  submit(request: SubmitRequest, options: CallOptions = {}): Promise<TaskHandle> {
    return this.#submits.submit(request, options, ({ task, duplicate }) => this.#handle(task.id, task, duplicate))
  }

  /** A handle for a task that exists already. Asks nothing yet. */
  task(id: string): TaskHandle {
    return this.#handle(id, null, false)
  }

  /** One task. Rejects with NOT_FOUND when there is none, or when it is another owner's. */
  async get(id: string, options: CallOptions = {}): Promise<Task> {
    return (await this.#calls.call("task.get", { id, ...this.#calls.minSeq() }, options)).task
  }

  /** Tasks, newest first. */
  list(query: TaskQuery = {}, options: CallOptions = {}): TaskList {
    const { cursor: first, ...rest } = query
    const fetch = (cursor: string | undefined) => {
      const params = { ...rest, ...this.#calls.minSeq(), ...(cursor === undefined ? {} : { cursor }) }
      return this.#calls.call("task.list", params, options)
    }
    return new TaskList(fetch, first)
  }

  async update(id: string, change: TaskChange, options: CallOptions = {}): Promise<Task> {
    return (await this.#calls.call("task.update", { id, ...change }, options)).task
  }

  /** Stops a task in whatever phase it is: SIGTERM, and SIGKILL after its grace period. */
  async cancel(id: string, options: CallOptions = {}): Promise<Task> {
    return (await this.#calls.call("task.cancel", { id }, options)).task
  }

  /** Stops a task at once. */
  async kill(id: string, options: CallOptions = {}): Promise<Task> {
    return (await this.#calls.call("task.kill", { id }, options)).task
  }

  /** One more attempt for a failed or timed out task. */
  async retry(id: string, options: CallOptions = {}): Promise<Task> {
    return (await this.#calls.call("task.retry", { id }, options)).task
  }

  /** Purges a task at rest. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#calls.call("task.delete", { id }, options)
  }

  /** A task's events from a sequence on, then live, until its end. For one reader. */
  watch(id: string, options: WatchOptions = {}): AsyncIterableIterator<TaskEvent, undefined> {
    return this.task(id).events(options)
  }

  /** State events of all one's own tasks, after `fromSeq` or from now on, and changes of backends. Never ends by itself. */
  events(options: WatchOptions = {}): AsyncIterableIterator<TaskEvent | BackendEvent, undefined> {
    return readWatch<TaskEvent | BackendEvent>(
      this.#hub,
      this.#timing,
      { taskId: null, fromSeq: options.fromSeq ?? null },
      options.signal,
      (queue) => ({ event: (event) => queue.put(event), backend: (event) => queue.put(event) }),
    )
  }

  /** How many tasks wait and run, and who could run them. */
  async queue(options: CallOptions = {}): Promise<MethodResult<"queue.stats">["stats"]> {
    return (await this.#calls.call("queue.stats", {}, options)).stats
  }

  /** What the server is and how it fares. */
  async system(options: CallOptions = {}): Promise<MethodResult<"system.info">["info"]> {
    return (await this.#calls.call("system.info", {}, options)).info
  }

  /** The interface of the server as an OpenRPC document. */
  discover(options: CallOptions = {}): Promise<MethodResult<"rpc.discover">> {
    return this.#calls.call("rpc.discover", {}, options)
  }

  /** One file that a task's program left in /box/out, whole. */
  artifact(id: string, path: string, options: { readonly signal?: AbortSignal } = {}): Promise<Uint8Array> {
    const fetch = async () => {
      const token = await this.#connection.token()
      return this.#transport.download({ url: this.#connection.url, token }, id, path, options.signal)
    }
    return this.#downloads.run(fetch, options.signal)
  }

  /** Uses this token from now on, for this connection and the next ones. It must be of the same `sub`. */
  async refreshToken(token: string, options: CallOptions = {}): Promise<{ readonly expiresAtMs: number }> {
    const answer = await this.#calls.call("auth.refresh", { token }, options)
    this.#connection.replaceToken(token)
    return answer
  }

  /** Closes the connection. What still waits for an answer, and every watch, ends with SHUTTING_DOWN. Idempotent. */
  close(): Promise<void> {
    this.#connection.close()
    this.#waiter.close()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The watch begins as the answer comes: its first event may be in the next frame. */
  #submitWatched(request: SubmitRequest, signal: AbortSignal | undefined): Promise<Submitted> {
    return this.#submits.watched(request, ({ duplicate, task }, begun) => {
      const handle = this.#handle(task.id, task, duplicate, { begun })
      return { handle, events: handle.events(signal === undefined ? {} : { signal }) }
    })
  }

  /** @param run - the handle's first watch is a run's: it goes on with what was begun, or waits for its place */
  #handle(
    id: string,
    known: Task | null,
    duplicate: boolean,
    run: { readonly begun: Begun | null } | null = null,
  ): TaskHandle {
    let unused = run
    const watch: TaskWatch = (options, seen) => {
      const first = unused
      unused = null
      return readWatch<TaskEvent>(
        this.#hub,
        this.#timing,
        { taskId: id, fromSeq: options.fromSeq ?? 0, follow: options.follow ?? true, waits: first !== null },
        options.signal,
        (queue) => ({
          event: (event) => {
            seen(event)
            queue.put(event)
          },
        }),
        first?.begun ?? null,
      )
    }
    return new TaskHandle(this, watch, this.#waiter, id, known, duplicate)
  }
}
