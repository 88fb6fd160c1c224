import { createHash } from "node:crypto"
import Docker from "dockerode"
import { RUNTIMES } from "../../core/runtime/catalogue.ts"
import type { FoundEngine } from "../../gateway/provision/engine.ts"

/**
 * Images that only tests need. Each is made once and made again when its recipe changes; making takes about a second.
 */

const RECIPE_LABEL = "berth.test.recipe"

/** An image that tries everything that an image can: what it sets must not reach a task's container. */
export const HOSTILE_IMAGE = "berth-test-hostile:1"
/** What the hostile image sets, as tests expect to find it in the image and nowhere else. */
export const HOSTILE_CHANGES = [
  "VOLUME /data",
  "USER root",
  "WORKDIR /proc/self/fd/7",
  "ENV LD_PRELOAD=/data/evil.so",
  "ENV LD_LIBRARY_PATH=/data",
  "ENV NODE_OPTIONS=--require=/data/evil.js",
  "ENV BASH_ENV=/data/evil.sh",
  "ENV PYTHONSTARTUP=/data/evil.py",
  "ENV BERTH_TEST_FROM_IMAGE=yes",
  "HEALTHCHECK --interval=1s CMD touch /tmp/healthcheck-ran",
  "LABEL berth.cluster=forged berth.worker=forged berth.pool=forged berth.profile=forged berth.task=forged",
  'ENTRYPOINT ["/bin/sh", "-c", "echo entrypoint-ran", "sh"]',
  'CMD ["cmd-ran"]',
] as const

/** An image that holds one static program and neither `sh` nor `tar`. */
export const SHELLLESS_IMAGE = "berth-test-shellless:1"
/** Its program: `/program say WORD…` prints the words, `/program exit N` exits with N, `/program sleep` never ends. */
const SHELLLESS_SOURCE = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "exit") == 0) return atoi(argv[2]);
  if (argc > 1 && strcmp(argv[1], "sleep") == 0) for (;;) pause();
  for (int i = 2; i < argc; i++) printf("%s%s", argv[i], i + 1 < argc ? " " : "\\n");
  return 0;
}
`

/** An image whose `tar` unpacks what it is given, and packs what it likes. */
export const LYING_TAR_IMAGE = "berth-test-lying-tar:1"
const LYING_TAR = `#!/bin/bash
case "$1" in -x*) exec /bin/busybox tar "$@" ;; esac
exec /bin/busybox cat /usr/local/lie.tar
`

/** An image whose `tar` says what it is when it is asked, and never comes back when it is to unpack a program. */
export const SLEEPING_TAR_IMAGE = "berth-test-sleeping-tar:1"
const SLEEPING_TAR = `#!/bin/bash
exec sleep 3600
`

/** Members that must not come out, before and after one that may. Types as in the header of a tar archive. */
const LIES: readonly (readonly [path: string, type: string, content: string, link?: string])[] = [
  ["out/../escape", "0", "up"],
  ["/etc/cron.d/absolute", "0", "absolute"],
  ["out/shadow", "2", "", "/etc/shadow"],
  ["out/twin", "1", "", "/etc/shadow"],
  ["out/block", "4", ""],
  ["out/character", "3", ""],
  ["out/pipe", "6", ""],
  ["PaxHeaders/x", "x", "24 path=/etc/overridden\n"],
  ["out/overridden", "0", "pax"],
  ["out/fine", "0", "fine"],
  ["out/sparse", "S", ""],
]

/** One member; a size may be claimed that is not there. */
function tarMember([path, type, content, link = ""]: (typeof LIES)[number], claimedBytes = content.length): Buffer {
  const header = Buffer.alloc(512)
  const put = (at: number, text: string) => header.write(text, at, "latin1")
  put(0, path)
  put(100, "0000644\0")
  put(108, "0000000\0")
  put(116, "0000000\0")
  put(124, `${claimedBytes.toString(8).padStart(11, "0")}\0`)
  put(136, "00000000000\0        ")
  put(156, type)
  put(157, link)
  put(257, "ustar\x0000")
  put(
    148,
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
  )
  return Buffer.concat([header, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512)])
}

const hashOf = (recipe: unknown): string =>
  createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 16)

const connect = (engine: FoundEngine): Docker =>
  new Docker("socketPath" in engine.address ? engine.address : { ...engine.address, protocol: "http" })

const labelOf = async (docker: Docker, image: string): Promise<string | undefined> => {
  try {
    return (await docker.getImage(image).inspect()).Config.Labels?.[RECIPE_LABEL]
  } catch {
    return undefined
  }
}

/** The image of a runtime that the engine has: the official one, else the local one. */
export const runtimeImage = async (engine: FoundEngine, name: string): Promise<string> => {
  const runtime = RUNTIMES.find((each) => each.name === name)
  const tags = (await connect(engine).listImages()).flatMap((image) => image.RepoTags ?? [])
  const image = [runtime?.image, runtime?.localImage].find((each) => each !== undefined && tags.includes(each))
  if (image === undefined) throw new Error(`the engine has no image for ${name}: npm run provision -- ${name}`)
  return image
}

const parts = (image: string) => ({
  repo: image.slice(0, image.lastIndexOf(":")),
  tag: image.slice(image.lastIndexOf(":") + 1),
})

/** Makes {@link HOSTILE_IMAGE} from the image of bash; returns its name. */
export const hostileImage = async (engine: FoundEngine): Promise<string> => {
  const docker = connect(engine)
  const base = await runtimeImage(engine, "bash")
  const recipe = hashOf([base, HOSTILE_CHANGES])
  if ((await labelOf(docker, HOSTILE_IMAGE)) === recipe) return HOSTILE_IMAGE
  const container = await docker.createContainer({ Image: base, Cmd: ["true"] })
  try {
    const changes = [...HOSTILE_CHANGES, `LABEL ${RECIPE_LABEL}=${recipe}`]
    await container.commit({ ...parts(HOSTILE_IMAGE), changes: changes.join("\n") })
  } finally {
    await container.remove({ force: true, v: true })
  }
  return HOSTILE_IMAGE
}

/** Makes {@link SHELLLESS_IMAGE} with the compiler of the image for c; returns its name. */
export const shelllessImage = async (engine: FoundEngine): Promise<string> => {
  const docker = connect(engine)
  const compiler = await runtimeImage(engine, "c")
  const recipe = hashOf([SHELLLESS_SOURCE])
  if ((await labelOf(docker, SHELLLESS_IMAGE)) === recipe) return SHELLLESS_IMAGE
  const build = `printf %s "$SOURCE" > /program.c && gcc -static -Os -s -o /program /program.c`
  const container = await docker.createContainer({
    Image: compiler,
    Entrypoint: ["sh", "-c", build],
    Cmd: [],
    Env: [`SOURCE=${SHELLLESS_SOURCE}`],
    HostConfig: { NetworkMode: "none" },
  })
  try {
    await container.start()
    const { StatusCode } = (await container.wait()) as { readonly StatusCode: number }
    if (StatusCode !== 0) throw new Error(`the static program does not compile in ${compiler}`)
    const archive = await container.getArchive({ path: "/program" })
    const { repo, tag } = parts(SHELLLESS_IMAGE)
    const options = { repo, tag, changes: ['ENTRYPOINT ["/program"]', `LABEL ${RECIPE_LABEL}=${recipe}`] }
    const progress = await docker.importImage(archive, options)
    await new Promise((resolve, reject) =>
      docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve(null))),
    )
  } finally {
    await container.remove({ force: true, v: true })
  }
  return SHELLLESS_IMAGE
}

/** Makes an image like that of bash, but for what a command as root does to it; returns its name. */
const changedBash = async (engine: FoundEngine, image: string, build: string, env: readonly string[]) => {
  const docker = connect(engine)
  const base = await runtimeImage(engine, "bash")
  const recipe = hashOf([base, build, env])
  if ((await labelOf(docker, image)) === recipe) return image
  const container = await docker.createContainer({
    Image: base,
    Entrypoint: ["/bin/bash", "-c", build],
    Cmd: [],
    Env: [...env],
    HostConfig: { NetworkMode: "none" },
  })
  try {
    await container.start()
    const { StatusCode } = (await container.wait()) as { readonly StatusCode: number }
    if (StatusCode !== 0) throw new Error(`${image} cannot be made from ${base}`)
    const unset = env.map((variable) => `${variable.slice(0, variable.indexOf("="))}=`).join(" ")
    const changes = [`LABEL ${RECIPE_LABEL}=${recipe}`, 'ENTRYPOINT ["/bin/sh"]', `ENV ${unset}`]
    await container.commit({ ...parts(image), changes: changes.join("\n") })
  } finally {
    await container.remove({ force: true, v: true })
  }
  return image
}

// A shell that brings a tar of its own would not ask the image's.
const PUT_TAR =
  'mkdir -p /usr/local/bin && printf %s "$TAR" >/usr/local/bin/tar && chmod 755 /usr/local/bin/tar && ln -sf bash /bin/sh'

/** Makes {@link LYING_TAR_IMAGE} from the image of bash; returns its name. */
export const lyingTarImage = (engine: FoundEngine): Promise<string> => {
  const lie = Buffer.concat([...LIES.map((each) => tarMember(each)), tarMember(["out/terabyte", "0", ""], 2 ** 32)])
  const build = `${PUT_TAR} && printf %s "$LIE" | base64 -d >/usr/local/lie.tar`
  return changedBash(engine, LYING_TAR_IMAGE, build, [`TAR=${LYING_TAR}`, `LIE=${lie.toString("base64")}`])
}

/** Makes {@link SLEEPING_TAR_IMAGE} from the image of bash; returns its name. */
export const sleepingTarImage = (engine: FoundEngine): Promise<string> =>
  changedBash(engine, SLEEPING_TAR_IMAGE, PUT_TAR, [`TAR=${SLEEPING_TAR}`])
