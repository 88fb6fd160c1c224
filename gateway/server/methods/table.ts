/** Name → role and handler. Name → schema is METHODS of gateway/protocol; the type below keeps both complete. */
import type { MethodName } from "../../protocol/methods.ts"
import type { Method } from "./call.ts"
import { secretDelete, secretList, secretSet } from "./secrets.ts"
import { submit } from "./submit.ts"
import { authRefresh, discover, queueStats, systemInfo, workerDrain, workerList } from "./system.ts"
import { cancel, dlqList, dlqRequeue, get, kill, list, remove, retry, update } from "./tasks.ts"
import { eventsWatch, unwatch, watch } from "./watches.ts"

export const METHOD_TABLE: { readonly [M in MethodName]: Method<M> } = {
  "task.submit": submit,
  "task.get": get,
  "task.list": list,
  "task.update": update,
  "task.cancel": cancel,
  "task.kill": kill,
  "task.retry": retry,
  "task.delete": remove,
  "task.watch": watch,
  "task.unwatch": unwatch,
  "events.watch": eventsWatch,
  "dlq.list": dlqList,
  "dlq.requeue": dlqRequeue,
  "queue.stats": queueStats,
  "worker.list": workerList,
  "worker.drain": workerDrain,
  "system.info": systemInfo,
  "secret.set": secretSet,
  "secret.list": secretList,
  "secret.delete": secretDelete,
  "auth.refresh": authRefresh,
  "rpc.discover": discover,
}
