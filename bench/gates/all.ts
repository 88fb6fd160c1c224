import { clusterGates } from "./cluster.ts"
import { failpointGates } from "./failpoints.ts"
import { doorGates } from "./door.ts"
import type { Gate } from "./gate.ts"
import { halfOpenGates } from "./halfOpen.ts"
import { isolationGates } from "./isolation.ts"
import { jitterGates } from "./jitter.ts"
import { outputGates } from "./output.ts"
import { rejectionGates } from "./rejection.ts"
import { simulatorGates } from "./simulator.ts"

export const GATES: readonly Gate[] = [
  ...rejectionGates,
  ...halfOpenGates,
  ...jitterGates,
  ...isolationGates,
  ...failpointGates,
  ...simulatorGates,
  ...doorGates,
  ...outputGates,
  ...clusterGates,
]
