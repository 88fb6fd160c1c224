/** The command line: what it needs of its process is a CliHost, what it can do is in `commands/`. */
export * from "./host.ts"
export { runCli } from "./program.ts"
export { processTerminal } from "./terminal.ts"
