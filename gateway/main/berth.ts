#!/usr/bin/env node
import { runCli } from "../cli/index.ts"
import { makeCliHost } from "./cliHost.ts"

process.exitCode = await runCli(process.argv.slice(2), makeCliHost(process.env))
