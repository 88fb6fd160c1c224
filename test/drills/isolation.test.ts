import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, it } from "vitest"
import { Berth } from "../../gateway/main/index.ts"
import { findProgram } from "../../gateway/provision/debian.ts"
import { runtimeImage } from "../support/images.ts"
import { copyImage, type PrivateEngine, startPrivateEngine } from "../support/privateEngine.ts"
import { describeAsDebianRoot, describeWithDocker } from "../support/require.ts"

/**
 * gVisor itself cannot be had everywhere, so this engine has a runtime that is called `runsc` and is an alias of runc: what is
 * shown is that a class is found, asked for, read back, reported and refused, not what gVisor holds.
 */
describeAsDebianRoot("an engine of its own", () => {
  describeWithDocker("that has an alias of runc under the name runsc, and nothing called kata", (machine) => {
    let folder = ""
    let own: PrivateEngine | null = null
    let berth: Berth | null = null

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "berth-isolation-"))
      const runc = findProgram("runc")
      if (runc === null) throw new Error("there is no runc beside dockerd")
      own = await startPrivateEngine(folder, false, [`--add-runtime=runsc=${runc}`])
      await copyImage(machine.address, own.engine.address, await runtimeImage(machine, "bash"))
      berth = await Berth.open({ dataDir: join(folder, "data"), engine: own.engine.host, slots: 2 })
    })
    afterAll(async () => {
      await berth?.close()
      await own?.close()
      rmSync(folder, { recursive: true, force: true })
    })

    it.each([
      ["runsc", "runsc", "runsc"],
      ["gvisor", "runsc", "runsc"],
      ["runc", "runc", "runc"],
      [undefined, "runc", "runc"],
    ] as const)(
      "a task that asks for %s runs in class %s, by the engine's runtime %s",
      async (asked, isolation, runtime) => {
        const isolated = asked === undefined ? {} : { isolation: asked }
        const outcome = await berth!.run({ runtime: "bash", code: "echo in", ...isolated })
        expect(outcome).toMatchObject({ status: "completed", stdout: "in\n" })
        expect(outcome.task.result?.policy).toMatchObject({ isolation, runtime })
      },
    )

    it("a task that requires a worker with runsc runs in it", async () => {
      const outcome = await berth!.run({ runtime: "bash", code: "true", requires: { isolation: "runsc" } })
      expect(outcome.task.result?.policy).toMatchObject({ isolation: "runsc", runtime: "runsc" })
    })

    it("a task that asks for kata is refused, and says what there is", async () => {
      const outcome = await berth!.run({ runtime: "bash", code: "true", isolation: "kata" })
      expect(outcome).toMatchObject({ status: "failed", reason: "refused" })
      expect(outcome.task.result?.message).toContain("kata; it has runc, runsc")
    })

    it("the worker tells the classes of its engine", async () => {
      const told = async () => (await berth!.client.queue()).workers.map(({ isolations }) => isolations)
      while ((await told())[0]?.length === 0) await sleep(50)
      expect(await told()).toEqual([["runc", "runsc"]])
      const docker = (await berth!.client.system()).executors.find(({ name }) => name === "docker")
      expect(docker?.detail["isolations"]).toEqual(["runc", "runsc"])
    })
  })
})
