import { jetstreamContracts } from "./jetstream.contract.ts"

jetstreamContracts("newest", { nodes: 1, rounds: 50 })
jetstreamContracts("2.10", { nodes: 1, rounds: 50 })
