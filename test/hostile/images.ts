import { expect } from "vitest"
import { containersOf } from "../support/engineWitness.ts"
import { hostileImage, lyingTarImage, sleepingTarImage } from "../support/images.ts"
import { COMPLETED, type Row, TIMED_OUT } from "./row.ts"

/** Images that set what is not theirs to set, or whose own programs lie. */

const LOOK =
  'echo "[$LD_PRELOAD$LD_LIBRARY_PATH$NODE_OPTIONS$BASH_ENV$PYTHONSTARTUP]"; id -u; pwd; grep " /data " /proc/mounts; echo x > /data/x && echo written; sleep 1.2; ls /tmp; echo $BERTH_TEST_FROM_IMAGE'

export const IMAGES: readonly Row[] = [
  {
    name: "an image with VOLUME, USER root, WORKDIR in /proc, loader variables, HEALTHCHECK and forged labels",
    request: async (scene) => ({ image: await hostileImage(scene.engine), command: ["sh", "-c", LOOK] }),
    ends: COMPLETED,
    holds: async ({ stdout, task }, scene) => {
      const [variables, user, folder, mount, ...rest] = stdout.split("\n")
      expect([variables, folder, rest]).toEqual(["[]", "/box", ["written", "yes", ""]])
      expect(task.result?.policy?.["user"]).toBe(`${user}:${user}`)
      expect(Number(user)).toBeGreaterThanOrEqual(100_000)
      expect(mount).toMatch(/^tmpfs \/data tmpfs .*nosuid,nodev,noexec/)
      expect(await containersOf(scene.engine, "forged")).toEqual([])
    },
  },
  {
    name: "an image whose tar answers with .., absolute paths, links, devices, pax overrides and a file of a terabyte",
    request: async (scene) => ({
      image: await lyingTarImage(scene.engine),
      command: ["sh", "-c", "echo true > out/true"],
      artifacts: true,
    }),
    ends: COMPLETED,
    holds: async (seen, scene) => {
      // What only a pax header says is not heeded: the file has the name that stands in its own.
      expect(seen.artifacts.map(({ path }) => path)).toEqual(["overridden", "fine"])
      expect(Buffer.from(await scene.berth.client.artifact(seen.id, "fine")).toString()).toBe("fine")
      expect(seen.task.result?.artifactsMissing).not.toBeNull()
    },
  },
  {
    name: "an image whose tar never comes back, so that nothing begins",
    request: async (scene) => ({
      image: await sleepingTarImage(scene.engine),
      command: ["sh", "-c", "echo begun"],
      timeoutMs: 1_000,
    }),
    ends: TIMED_OUT,
    holds: ({ stdout, wallMs }) => expect([stdout, wallMs]).toEqual(["", null]),
  },
]
