/**
 * Who may import whom. Our folders point one way: core ← store, core ← actors, core and actors/api ← gateway/server,
 * core and gateway/protocol ← gateway/client ← gateway/cli and gateway/dashboard. Only gateway/main sees all.
 * test/tidy/dependencies.test.ts plants a violation of every rule and proves that it is found.
 */
const OURS = "^(core|actors|store|gateway|test|bench)/"

/** `from` may import itself and `to`, among our own folders. */
const only = (from, ...to) => ({
  name: `${from.replaceAll("/", "-")}-sees-${to.length === 0 ? "itself" : "only-its-own"}`,
  severity: "error",
  from: { path: `^${from}/` },
  to: { path: OURS, pathNot: [`^${from}/`, ...to] },
})

/** `pkg` is known to one folder only; everyone else knows the port. */
const confined = (pkg, to) => ({
  name: `${pkg.replace(/\W+/g, "")}-is-confined`,
  severity: "error",
  from: { path: "^(core|actors|store|gateway)/", pathNot: `^${to}` },
  to: { path: `node_modules/${pkg}/` },
})

const CLIENT_IN_NODE = "^gateway/client/(index|node[A-Za-z]*)\\.ts$"

export default {
  forbidden: [
    only("core"),
    only("store", "^core/"),
    only("actors", "^core/"),
    only("gateway/protocol", "^core/"),
    only("gateway/server", "^core/", "^actors/api\\.ts$", "^gateway/protocol/"),
    only("gateway/client", "^core/", "^gateway/protocol/"),
    only("gateway/cli", "^core/", "^gateway/(protocol|client)/"),
    only("gateway/dashboard", "^core/", "^gateway/(protocol|client)/"),
    only("gateway/provision", "^core/"),
    only("gateway/demo", "^core/", "^gateway/(client|protocol|main|provision)/"),
    only("gateway/main", "^(core|actors|store|gateway)/"),
    {
      name: "nobody-needs-demo",
      severity: "error",
      from: { path: OURS, pathNot: "^(gateway/demo|test)/" },
      to: { path: "^gateway/demo/" },
    },
    {
      name: "core-is-pure",
      severity: "error",
      from: { path: "^core/" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "core-knows-two-libraries",
      severity: "error",
      from: { path: "^core/" },
      to: { path: "node_modules/", pathNot: "node_modules/(effect|xstate)/" },
    },
    {
      name: "adapters-do-not-meet",
      severity: "error",
      from: { path: "^store/([^/]+)/" },
      to: { path: "^store/([^/]+)/", pathNot: "^store/($1|shared)/" },
    },
    {
      name: "client-runs-in-a-browser",
      severity: "error",
      from: { path: "^gateway/(client|protocol)/", pathNot: CLIENT_IN_NODE },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "browser-entry-never-reaches-node",
      severity: "error",
      from: { path: "^gateway/client/browser\\.ts$" },
      to: { path: [CLIENT_IN_NODE, "node_modules/ws/"], reachable: true },
    },
    confined("@nats-io", "store/jetstream/"),
    confined("sqlite3", "store/sqlite/"),
    confined("dockerode", "actors/executor/docker/"),
    confined("ws", "gateway/(server|client)/"),
    {
      name: "no-cycles",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, path: "^(core|actors|store|gateway)/", pathNot: "^gateway/provision/sqlite\\.ts$" },
      to: {},
    },
    {
      name: "production-never-imports-tests",
      severity: "error",
      from: { path: "^(core|actors|store|gateway)/" },
      to: { path: "^(test|bench)/" },
    },
    {
      name: "production-ships-what-it-imports",
      severity: "error",
      from: { path: "^(core|actors|store|gateway)/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "undetermined"] },
    },
    { name: "everything-resolves", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
}
