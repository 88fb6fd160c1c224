import type { Command } from "commander"
import { asBerthError } from "../../../core/errors.ts"
import type { BerthClient, Task } from "../../client/publicTypes.ts"
import { attemptWithClient, type CommandContext, type CommonFlags, withServerFlags } from "../command.ts"
import { EXIT } from "../exitCode.ts"
import { errorFields, errorText, type Printer } from "../printer.ts"

interface Change {
  readonly name: string
  readonly description: string
  readonly make: (client: BerthClient, id: string) => Promise<Task | undefined>
  readonly done: string
}

const CHANGES: readonly Change[] = [
  {
    name: "cancel",
    description: "stop tasks, whatever they are doing: SIGTERM, then SIGKILL after their grace period",
    make: (client, id) => client.cancel(id),
    done: "is to stop",
  },
  {
    name: "kill",
    description: "stop tasks at once",
    make: (client, id) => client.kill(id),
    done: "is to stop at once",
  },
  {
    name: "retry",
    description: "one more attempt for failed tasks",
    make: (client, id) => client.retry(id),
    done: "is tried again",
  },
  {
    name: "delete",
    description: "purge tasks that have ended, with output and artifacts",
    make: (client, id) => client.delete(id).then(() => undefined),
    done: "is deleted",
  },
]

/** `cancel`, `kill`, `retry` and `delete`: each takes several ids, and goes on after one that fails. */
export function declareChanges(program: Command, context: CommandContext): void {
  for (const change of CHANGES) {
    withServerFlags(program.command(change.name))
      .description(change.description)
      .argument("<ids...>")
      .action((ids: string[], flags: CommonFlags) =>
        attemptWithClient(context, flags, (client, printer) => changeAll(change, ids, client, printer)),
      )
  }
}

async function changeAll(
  change: Change,
  ids: readonly string[],
  client: BerthClient,
  printer: Printer,
): Promise<number> {
  let code: number = EXIT.ok
  for (const id of ids) {
    try {
      const task = await change.make(client, id)
      await printer.answer(task ?? { id, deleted: true }, `${id} ${change.done}\n`)
    } catch (cause) {
      code = EXIT.ownFailure
      const error = asBerthError(cause)
      await printer.say(printer.json ? JSON.stringify({ id, error: errorFields(error) }) : errorText(error))
    }
  }
  return code
}
