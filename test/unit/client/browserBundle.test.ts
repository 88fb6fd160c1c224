import { createContext, runInContext } from "node:vm"
import { join } from "node:path"
import { build } from "vite"
import type { connect as Connect } from "../../../gateway/client/browser.ts"
import { beforeAll, describe, expect, it } from "vitest"

const ENTRY = join(import.meta.dirname, "../../../gateway/client/browser.ts")

interface Chunk {
  readonly type: "chunk" | "asset"
  readonly code: string
  readonly imports: readonly string[]
  readonly modules: Readonly<Record<string, unknown>>
}

let chunk: Chunk

beforeAll(async () => {
  const output = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      minify: true,
      target: "es2022",
      lib: { entry: ENTRY, formats: ["iife"], name: "berth" },
      // A builtin that is reached fails the build, instead of becoming an empty module.
      rolldownOptions: { external: [] },
    },
  })
  const [bundle] = output as unknown as readonly { readonly output: readonly Chunk[] }[]
  chunk = bundle?.output.find((part) => part.type === "chunk") as Chunk
})

describe("does the client run in a browser?", () => {
  it("reaches nothing of Node, and not the transport of Node", () => {
    const modules = Object.keys(chunk.modules).map((path) => path.split("/main/").at(-1) ?? path)
    expect(modules.filter((path) => /browser-external|^node:/.test(path))).toEqual([])
    expect(modules.filter((path) => /nodeTransport|node_modules\/ws\//.test(path))).toEqual([])
    expect(chunk.imports).toEqual([])
    expect(chunk.code).not.toMatch(/\brequire\(|\bprocess\.(?!env\.NODE_ENV)|\bBuffer\b/)
  })

  it("connects through the platform's WebSocket, with the token as second subprotocol, and calls", async () => {
    const opened: FakeBrowserSocket[] = []
    class FakeBrowserSocket extends EventTarget {
      static readonly OPEN = 1
      readonly readyState = 1
      readonly url: string
      readonly protocols: readonly string[]
      constructor(url: string, protocols: readonly string[]) {
        super()
        this.url = url
        this.protocols = protocols
        opened.push(this)
        queueMicrotask(() => this.dispatchEvent(new Event("open")))
      }
      send(text: string): void {
        const { id, method } = JSON.parse(text) as { id: number; method: string }
        const data = JSON.stringify({ jsonrpc: "2.0", id, result: { openrpc: "1.3.2", asked: method } })
        queueMicrotask(() => this.dispatchEvent(new MessageEvent("message", { data })))
      }
      close(): void {}
    }
    // What a page has, and nothing of Node.
    const page = createContext({
      WebSocket: FakeBrowserSocket,
      URL,
      TextEncoder,
      TextDecoder,
      crypto,
      performance,
      setTimeout,
      clearTimeout,
      queueMicrotask,
      AbortController,
    })
    runInContext(chunk.code, page)
    const { connect } = runInContext("berth", page) as { readonly connect: typeof Connect }
    const client = await connect("https://berth.example", { token: "head.body.sign" })
    expect(opened[0]?.url).toBe("wss://berth.example/v1")
    expect([...(opened[0]?.protocols ?? [])]).toEqual(["berth.v1", "berth.token.head.body.sign"])
    expect(await client.discover()).toMatchObject({ asked: "rpc.discover" })
    await client.close()
  })

  it("stays small enough to be loaded by a page", () => {
    expect(chunk.code.length).toBeLessThan(400 * 1024)
  })
})
