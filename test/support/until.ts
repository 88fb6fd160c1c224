/** Turns of the event loop after which a condition that never comes true is a failure. A cap, not a measurement. */
const TURNS_MAX = 20_000
/** Turns that only let ready continuations run, before the loop is also given time for real timers and I/O. */
const QUICK_TURNS = 200

/** Waits until a condition holds, whatever the machine's speed; fails with `what` if it never does. */
export async function until(condition: () => boolean, what = "the condition"): Promise<void> {
  for (let turn = 0; turn < TURNS_MAX; turn += 1) {
    if (condition()) return
    await new Promise<void>((resolve) => (turn < QUICK_TURNS ? setImmediate(resolve) : setTimeout(resolve, 1)))
  }
  throw new Error(`${what} never came true`)
}
