import { Effect } from "effect"
import { makeBackend } from "../actors/executor/stack/backend.ts"
import { makeRetryBudget } from "../actors/executor/stack/retryBudget.ts"
import { liveClock, seededRandom } from "../test/support/clock.ts"
import { callOf, unavailable } from "../test/support/engineCall.ts"
const backend = makeBackend("engine", { clock: liveClock, random: seededRandom(1), budget: makeRetryBudget(liveClock), breaker: { openMsInitial: 600_000, openMsMax: 600_000 } })
while (backend.accepting()) await Effect.runPromiseExit(backend.guard(callOf(), Effect.fail(unavailable())))
for (const mode of ["promise","sync","fresh","bare"]) {
const fixed = Effect.exit(backend.guard(callOf({ repeatable: true }), Effect.void))
const bare = Effect.exit(Effect.fail(unavailable()))
const one = mode==="promise" ? () => Effect.runPromise(fixed) : mode==="sync" ? () => Effect.runSync(fixed) : mode==="bare"? () => Effect.runPromise(bare) : () => Effect.runPromise(Effect.exit(backend.guard(callOf({ repeatable: true }), Effect.void)))
for (let i=0;i<20000;i++) await one()
const t = new Float64Array(100000)
for (let i=0;i<100000;i++){ const b=performance.now(); await one(); t[i]=performance.now()-b }
t.sort(); const q=(x:number)=>(t[Math.floor(x*1e5)]!*1000).toFixed(1)
console.log(mode, "p50",q(.5),"p99",q(.99),"p99.9",q(.999),"p99.99",q(.9999),"max",q(.99999), "us")
}
