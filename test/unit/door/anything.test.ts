import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { METHOD_NAMES } from "../../../gateway/protocol/methods.ts"
import { settle } from "../../support/clock.ts"
import { fakeSession } from "../../support/fakeLink.ts"

describe("whatever comes in", () => {
  const value = fc.jsonValue({ maxDepth: 4 })
  const message = fc.oneof(
    fc.string({ unit: "binary" }),
    value.map((any) => JSON.stringify(any)),
    fc
      .record({
        method: fc.oneof(fc.constantFrom(...METHOD_NAMES), fc.string()),
        id: fc.oneof(fc.nat(), fc.string()),
        params: fc.oneof(
          value,
          fc.dictionary(
            fc.constantFrom(
              "id",
              "ids",
              "runtime",
              "code",
              "lane",
              "labels",
              "fromSeq",
              "subscription",
              "token",
              "cursor",
              "rowsMax",
            ),
            value,
          ),
        ),
      })
      .map(({ method, id, params }) => JSON.stringify({ jsonrpc: "2.0", id, method, params })),
  )

  it("is answered with a result or a typed error, and the session lives", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 8 }), async (messages) => {
        const { session, link, ask, answer } = fakeSession({ messagesBurst: 10_000 })
        for (const text of messages) session.receive(text)
        await settle(5)
        for (const sent of link.sent) {
          if (sent.method !== undefined) continue
          const isTyped =
            sent.error !== undefined &&
            typeof sent.error.code === "number" &&
            sent.error.message.length > 0 &&
            sent.error.data.hint.length > 0
          expect([JSON.stringify(sent).slice(0, 200), sent.result !== undefined || isTyped]).toEqual([
            expect.anything(),
            true,
          ])
          if (sent.error !== undefined) expect(sent.error.data.code).not.toBe("INTERNAL")
        }
        await ask("alive", "system.info")
        expect(answer("alive").result.info.nodeId).toBe("fake-1")
        session.closed()
      }),
      { numRuns: 150 },
    )
  })
})
