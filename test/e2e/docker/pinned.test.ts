import { Effect } from "effect"
import { afterAll, expect, it } from "vitest"
import { runtimeImage } from "../../support/images.ts"
import { describeWithDocker } from "../../support/require.ts"
import { imageProgram, Rig } from "./rig.ts"

describeWithDocker("which image does a program run in?", (engine) => {
  const rig = new Rig(engine)
  const repo = `${rig.cluster}-pinned`
  afterAll(async () => {
    await rig.docker.getImage(`${repo}:latest`).remove()
    expect(await rig.left()).toEqual([])
  })

  it("IM1 the one that its name meant when it was made, which is recorded, wherever the name moves meanwhile", async () => {
    const idOf = async (image: string): Promise<string> => (await rig.docker.getImage(image).inspect()).Id
    const [shell, python] = [await runtimeImage(engine, "bash"), await runtimeImage(engine, "python")]
    await rig.docker.getImage(shell).tag({ repo, tag: "latest" })
    const job = rig.job(imageProgram(repo, ["true"]))
    const place = await rig.create(job)
    await rig.docker.getImage(python).tag({ repo, tag: "latest" })
    const again = await Effect.runPromise(rig.successor().create(rig.job(imageProgram(repo, ["true"]))))
    const [first, second] = [await idOf(shell), await idOf(python)]
    expect(first).not.toBe(second)
    expect([place.imageDigest, again.imageDigest]).toEqual([first, second])
    for (const [{ containerId }, image] of [[place, first] as const, [again, second] as const]) {
      const { Config, Image } = await rig.docker.getContainer(containerId ?? "").inspect()
      expect([Image, Config.Image]).toEqual([image, image])
      await rig.remove({ job, place: { ...place, containerId } })
    }
  })
})
