import { shellProgramOf } from "../../support/contractPrograms.ts"
import { describeWithDocker } from "../../support/require.ts"
import { executorContract } from "../../contract/executor.contract.ts"
import { Rig } from "./rig.ts"

describeWithDocker("does the Docker executor keep the contract?", (engine) => {
  executorContract({
    name: "docker",
    outlives: true,
    programOf: shellProgramOf,
    open: async () => {
      const rig = new Rig(engine)
      return {
        executor: rig.executor,
        successor: rig.successor(),
        left: async () => (await rig.left()).length,
        close: () => rig.removeAll(),
      }
    },
  })
})
