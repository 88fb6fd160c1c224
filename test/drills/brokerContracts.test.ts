/** The contracts of the ports on three brokers with three replicas: one that is not the leader never tells what it does not know. */
import { jetstreamContracts } from "../contract/jetstream.contract.ts"

jetstreamContracts("newest", { nodes: 3, rounds: 200 })
