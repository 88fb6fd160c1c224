import Docker from "dockerode"
import { expect, it } from "vitest"
import { hostileImage, shelllessImage } from "../support/images.ts"
import { describeWithDocker } from "../support/require.ts"

describeWithDocker("images for tests", (engine) => {
  const docker = new Docker("socketPath" in engine.address ? engine.address : { ...engine.address, protocol: "http" })

  it("has the hostile image really set what tests expect to be overruled?", async () => {
    const { Config } = await docker.getImage(await hostileImage(engine)).inspect()
    expect(Config).toMatchObject({ User: "root", WorkingDir: "/proc/self/fd/7", Volumes: { "/data": {} } })
    expect(Config.Env).toEqual(expect.arrayContaining(["LD_PRELOAD=/data/evil.so", "BERTH_TEST_FROM_IMAGE=yes"]))
    expect(Config.Labels).toMatchObject({ "berth.cluster": "forged", "berth.worker": "forged" })
    expect(Config).toHaveProperty("Healthcheck.Test", ["CMD-SHELL", "touch /tmp/healthcheck-ran"])
  })

  it("does the shell-less image run its program, and hold nothing else?", async () => {
    const Image = await shelllessImage(engine)
    const exits = async (Entrypoint: string[], Cmd: string[]): Promise<number> => {
      const container = await docker.createContainer({ Image, Entrypoint, Cmd, HostConfig: { NetworkMode: "none" } })
      try {
        await container.start()
        return ((await container.wait()) as { readonly StatusCode: number }).StatusCode
      } finally {
        await container.remove({ force: true })
      }
    }
    expect(await exits(["/program"], ["exit", "7"])).toBe(7)
    await expect(exits(["sh"], ["-c", "true"])).rejects.toMatchObject({ statusCode: 400 })
    await expect(exits(["tar"], ["--help"])).rejects.toMatchObject({ statusCode: 400 })
  })
})
