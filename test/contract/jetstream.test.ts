import { jetstreamContracts } from "./jetstream.contract.ts"

jetstreamContracts("newest", { nodes: 1, rounds: 200 })
jetstreamContracts("2.10", { nodes: 1, rounds: 200 })
