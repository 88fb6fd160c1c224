import type { ResourceLimits } from "../task/spec.ts"

/**
 * The runtimes: languages whose programs can be run from their source alone, as data.
 *
 * Every runtime has two images, of which the engine needs one: the official one, pulled from a registry, and a small
 * local one that `npm run provision` builds from Debian packages where no registry answers. Both hold `sh` and `tar`
 * and find their programs through the image's own PATH.
 *
 * In a command, `{entry}` stands for the absolute path of the program's first file and `{stem}` for its name without
 * folder and extension. A path never reaches a shell as text: commands that need one get it as `$0`.
 */

/** `compile` must exit 0 before `run` begins. The task's arguments are appended to `run`. */
export interface RuntimeCommands {
  readonly compile?: readonly string[]
  readonly run: readonly string[]
}

export interface Runtime {
  readonly name: string
  readonly aliases: readonly string[]
  /** With the dot, lower case; the first one is the usual one. */
  readonly extensions: readonly string[]
  /** Name of the first file when the program is submitted as bare text. */
  readonly mainFile: string
  /** Official image, tag pinned. Its digest is resolved and recorded when an attempt starts. */
  readonly image: string
  /** Built by `npm run provision`; several runtimes may share one. */
  readonly localImage: string
  readonly debianPackages: readonly string[]
  /** Links in the local image, from the name that commands use to a path (the last one that a `*` matches). */
  readonly localLinks: Readonly<Record<string, string>>
  readonly commands: RuntimeCommands
  /** Where the local image's older compiler needs another way to the same end. */
  readonly localCommands: RuntimeCommands | null
  /** Set before what the task sets, which wins. */
  readonly env: Readonly<Record<string, string>>
  /** Where the usual limits do not suffice. */
  readonly limits: Partial<ResourceLimits>
}

const MEBIBYTE = 1024 * 1024

/** What holds for most runtimes. */
const USUAL = {
  aliases: [],
  localLinks: {},
  localCommands: null,
  env: {},
  limits: {},
} satisfies Partial<Runtime>

export const RUNTIMES: readonly Runtime[] = [
  {
    ...USUAL,
    name: "python",
    aliases: ["python3", "py"],
    extensions: [".py"],
    mainFile: "main.py",
    image: "python:3.13-slim-bookworm",
    localImage: "berth-runtime-python:1",
    debianPackages: ["python3-minimal", "libpython3-stdlib"],
    // Unbuffered, so that output is seen while the program still runs.
    commands: { run: ["python3", "-u", "{entry}"] },
    env: { PYTHONDONTWRITEBYTECODE: "1" },
  },
  {
    ...USUAL,
    name: "node",
    aliases: ["javascript", "js", "nodejs"],
    extensions: [".js", ".mjs", ".cjs"],
    mainFile: "main.js",
    image: "node:24-bookworm-slim",
    localImage: "berth-runtime-node:1",
    debianPackages: ["nodejs", "esbuild"],
    commands: { run: ["node", "{entry}"] },
  },
  {
    ...USUAL,
    name: "typescript",
    aliases: ["ts"],
    extensions: [".ts", ".mts", ".cts"],
    mainFile: "main.ts",
    image: "node:24-bookworm-slim",
    localImage: "berth-runtime-node:1",
    debianPackages: ["nodejs", "esbuild"],
    commands: {
      run: [
        "node",
        "--experimental-transform-types",
        "--disable-warning=ExperimentalWarning",
        "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
        "{entry}",
      ],
    },
    // Debian's node does not know types yet; esbuild drops them and bundles the program's own files.
    localCommands: {
      compile: [
        "esbuild",
        "{entry}",
        "--bundle",
        "--platform=node",
        "--format=esm",
        "--target=node18",
        "--sourcemap=inline",
        "--log-level=warning",
        "--outfile=/box/.build/main.mjs",
      ],
      run: ["node", "--enable-source-maps", "/box/.build/main.mjs"],
    },
  },
  {
    ...USUAL,
    name: "bash",
    aliases: ["shell", "sh"],
    extensions: [".sh", ".bash"],
    mainFile: "main.sh",
    image: "bash:5.2",
    localImage: "berth-runtime-shell:1",
    debianPackages: ["bash", "perl-base"],
    commands: { run: ["bash", "{entry}"] },
  },
  {
    ...USUAL,
    name: "perl",
    aliases: ["pl"],
    extensions: [".pl"],
    mainFile: "main.pl",
    image: "perl:5.40-slim-bookworm",
    localImage: "berth-runtime-shell:1",
    debianPackages: ["bash", "perl-base"],
    commands: { run: ["perl", "{entry}"] },
  },
  {
    ...USUAL,
    name: "ruby",
    aliases: ["rb"],
    extensions: [".rb"],
    mainFile: "main.rb",
    image: "ruby:3.4-slim-bookworm",
    localImage: "berth-runtime-ruby:1",
    debianPackages: ["ruby"],
    commands: { run: ["ruby", "{entry}"] },
  },
  {
    ...USUAL,
    name: "php",
    extensions: [".php"],
    mainFile: "main.php",
    image: "php:8.4-cli-bookworm",
    localImage: "berth-runtime-php:1",
    debianPackages: ["php-cli"],
    localLinks: { "/usr/bin/php": "/usr/bin/php*.*" },
    commands: { run: ["php", "{entry}"] },
  },
  {
    ...USUAL,
    name: "lua",
    extensions: [".lua"],
    mainFile: "main.lua",
    // There is no image by the language's authors; this one is rebuilt from their releases.
    image: "nickblah/lua:5.4-debian",
    localImage: "berth-runtime-lua:1",
    debianPackages: ["lua5.4"],
    localLinks: { "/usr/bin/lua": "/usr/bin/lua5.4" },
    commands: { run: ["lua", "{entry}"] },
  },
  {
    ...USUAL,
    name: "c",
    extensions: [".c"],
    mainFile: "main.c",
    image: "gcc:14-bookworm",
    localImage: "berth-runtime-c:1",
    debianPackages: ["gcc", "g++", "libc6-dev"],
    commands: {
      compile: ["sh", "-c", 'cd "${0%/*}" && exec gcc -O2 -std=gnu17 -o /box/.program ./*.c -lm -pthread', "{entry}"],
      run: ["/box/.program"],
    },
  },
  {
    ...USUAL,
    name: "cpp",
    aliases: ["c++", "cxx"],
    extensions: [".cpp", ".cc", ".cxx"],
    mainFile: "main.cpp",
    image: "gcc:14-bookworm",
    localImage: "berth-runtime-c:1",
    debianPackages: ["gcc", "g++", "libc6-dev"],
    commands: {
      // Only the patterns that match something are passed on.
      compile: [
        "sh",
        "-c",
        'cd "${0%/*}" && set -- && for f in ./*.cpp ./*.cc ./*.cxx; do [ -f "$f" ] && set -- "$@" "$f"; done; exec g++ -O2 -std=gnu++20 -o /box/.program "$@" -pthread',
        "{entry}",
      ],
      run: ["/box/.program"],
    },
    limits: { memoryBytes: 512 * MEBIBYTE },
  },
  {
    ...USUAL,
    name: "go",
    aliases: ["golang"],
    extensions: [".go"],
    mainFile: "main.go",
    image: "golang:1.24-bookworm",
    localImage: "berth-runtime-go:1",
    debianPackages: ["golang-go"],
    commands: {
      compile: ["sh", "-c", 'cd "${0%/*}" && exec go build -o /box/.program .', "{entry}"],
      run: ["/box/.program"],
    },
    // `auto` takes a program without go.mod as one package; there is no network to fetch others from.
    env: {
      GO111MODULE: "auto",
      GOCACHE: "/tmp/go",
      GOPATH: "/tmp/gopath",
      GOTOOLCHAIN: "local",
      CGO_ENABLED: "0",
      GOFLAGS: "-p=1",
    },
    // The compiler's cache of the standard library lies in the tmpfs, which counts as memory.
    limits: { memoryBytes: 1024 * MEBIBYTE, tmpfsBytes: 512 * MEBIBYTE, pidsMax: 128 },
  },
  {
    ...USUAL,
    name: "java",
    extensions: [".java"],
    mainFile: "Main.java",
    image: "eclipse-temurin:21-jdk-jammy",
    localImage: "berth-runtime-java:1",
    debianPackages: ["default-jdk-headless"],
    localLinks: {
      "/usr/bin/java": "/usr/lib/jvm/java-*-openjdk-*/bin/java",
      "/usr/bin/javac": "/usr/lib/jvm/java-*-openjdk-*/bin/javac",
    },
    commands: {
      compile: ["sh", "-c", 'cd "${0%/*}" && exec javac -d /box/.build ./*.java', "{entry}"],
      run: ["java", "-XX:+UseSerialGC", "-cp", "/box/.build", "{stem}"],
    },
    limits: { memoryBytes: 512 * MEBIBYTE, pidsMax: 128 },
  },
]

/** Looks a runtime up by name or alias, in any case; undefined when there is none. */
export const runtimeByName = (name: string): Runtime | undefined => {
  const wanted = name.toLowerCase()
  return RUNTIMES.find((runtime) => runtime.name === wanted || runtime.aliases.includes(wanted))
}

/** Guesses the runtime of a file from its extension; undefined when no runtime claims it. */
export const runtimeForFile = (path: string): Runtime | undefined => {
  const dot = path.lastIndexOf(".")
  const extension = dot < 0 ? "" : path.slice(dot).toLowerCase()
  return RUNTIMES.find((runtime) => runtime.extensions.includes(extension))
}

/**
 * The commands of a program in one of its runtime's two images.
 * @param image the image that is used, which tells whether the local image's own commands apply
 * @param entry path of the program's first file, relative to /box
 */
export const commandsFor = (runtime: Runtime, image: string, entry: string): RuntimeCommands => {
  const chosen =
    image === runtime.localImage && runtime.localCommands !== null ? runtime.localCommands : runtime.commands
  const name = entry.slice(entry.lastIndexOf("/") + 1)
  const stem = name.includes(".") ? name.slice(0, name.lastIndexOf(".")) : name
  const fill = (argv: readonly string[]) =>
    argv.map((word) => (word === "{entry}" ? `/box/${entry}` : word === "{stem}" ? stem : word))
  const run = fill(chosen.run)
  return chosen.compile === undefined ? { run } : { compile: fill(chosen.compile), run }
}
