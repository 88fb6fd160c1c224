/** One line of what an engine says while it pulls. */
export interface ProgressLine {
  readonly id?: string
  readonly status?: string
  readonly error?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
}

/** A pull's news, for people who wait for it. */
interface News {
  readonly pull: { readonly image: string; readonly doneBytes: number; readonly totalBytes: number }
}

/** Each piece of news is kept with its task: so few of them that a long pull adds little. */
const TOLD_EVERY_MS = 2_000
/** Of a registry's making, like its layers. */
const LAYERS_MAX = 1_000

/** Sums an engine's lines up over the layers of an image, and tells the sum now and then. */
export class PullProgress {
  readonly #image: string
  readonly #clock: { readonly monoMs: () => number }
  readonly #tell: (news: News & Readonly<Record<string, unknown>>) => void
  readonly #layers = new Map<string, { readonly doneBytes: number; readonly totalBytes: number }>()
  #toldMonoMs = Number.NEGATIVE_INFINITY

  constructor(
    image: string,
    clock: { readonly monoMs: () => number },
    tell: (news: News & Readonly<Record<string, unknown>>) => void,
  ) {
    this.#image = image
    this.#clock = clock
    this.#tell = tell
  }

  heard({ id, progressDetail, status }: ProgressLine): void {
    // What is extracted was downloaded: its lines count from the beginning again.
    if (id !== undefined && progressDetail?.total !== undefined && status === "Downloading") {
      if (this.#layers.size < LAYERS_MAX || this.#layers.has(id))
        this.#layers.set(id, { doneBytes: progressDetail.current ?? 0, totalBytes: progressDetail.total })
    } else if (id !== undefined && (status === "Download complete" || status === "Pull complete")) {
      const { totalBytes } = this.#layers.get(id) ?? { totalBytes: 0 }
      this.#layers.set(id, { doneBytes: totalBytes, totalBytes })
    }
    const nowMonoMs = this.#clock.monoMs()
    if (nowMonoMs - this.#toldMonoMs < TOLD_EVERY_MS) return
    this.#toldMonoMs = nowMonoMs
    let doneBytes = 0
    let totalBytes = 0
    for (const layer of this.#layers.values()) {
      doneBytes += layer.doneBytes
      totalBytes += layer.totalBytes
    }
    this.#tell({ pull: { image: this.#image, doneBytes, totalBytes } })
  }
}
