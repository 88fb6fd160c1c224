import type { BerthClient, TaskHandle } from "../client/publicTypes.ts"
import { Narrator } from "./narrator.ts"
import { expectationFaults, type Scenario } from "./scenario.ts"
import type { Screen } from "./screen.ts"
import type { Row } from "./summary.ts"

/** Runs one scenario, tells what happens, and holds the end against what was expected. */
export async function play(scenario: Scenario, client: BerthClient, screen: Screen): Promise<Row> {
  const { name, shows, request } = scenario
  const narrator = new Narrator(screen, name)
  let submitted: TaskHandle | null = null
  const acts: Promise<unknown>[] = []
  const outcome = await client.run(request, {
    onSubmitted: (handle) => {
      submitted = handle
    },
    onEvent: (event) => {
      narrator.onEvent(event)
      const isTime = event.type === "output" && acts.length === 0
      if (isTime && submitted !== null && scenario.act !== undefined) acts.push(scenario.act(submitted))
    },
  })
  await Promise.all(acts)
  const { outputEvents } = narrator
  const also = (await scenario.faults?.({ client, outcome, outputEvents })) ?? []
  return { task: name, shows, outcome, faults: [...expectationFaults(scenario, outcome), ...also] }
}

/** In place of a scenario that nothing here can run. */
export const notPlayed = ({ name, shows }: Scenario): Row => ({
  task: name,
  shows,
  outcome: null,
  faults: [],
  note: "not run: needs containers",
})
