import type { Program } from "../../core/task/spec.ts"
import type { Behaviour } from "../contract/executor.contract.ts"

const SCRIPTS: Readonly<Record<Behaviour, string>> = {
  quick: "echo out",
  file: "mkdir -p out; printf kept >out/a.txt",
  lines: "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); sleep 0.01; done",
  polite: "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done",
  deaf: "trap '' TERM; echo ready; while :; do sleep 0.02; done",
}

/** The executor contract's programs as shell scripts. */
export const shellProgramOf = (behaviour: Behaviour): Program => ({
  kind: "runtime",
  runtime: "bash",
  entry: "main.sh",
  args: [],
  env: {},
  stdin: null,
  secrets: [],
  files: [{ path: "main.sh", content: SCRIPTS[behaviour], encoding: "utf8", executable: false }],
})
