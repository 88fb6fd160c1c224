import { defineConfig } from "vitest/config"

/**
 * Projects by what they need. The groups run one after another, two files at a time; what measures its neighbours, memory or
 * delays runs by itself, so that nothing else is measured.
 */
const ALONE = ["test/drills/{hostile,output,isolation,clock}.test.ts"]

export default defineConfig({
  test: {
    environment: "node",
    pool: "forks",
    reporters: ["default"],
    coverage: {
      provider: "v8",
      include: ["core/**/*.ts", "actors/**/*.ts", "store/**/*.ts", "gateway/server/**/*.ts", "gateway/client/**/*.ts"],
      reporter: ["text-summary", "json-summary"],
      thresholds: {
        "core/**": { lines: 80, statements: 80 },
        "actors/**": { lines: 80, statements: 80 },
        "store/**": { lines: 80, statements: 80 },
        "gateway/server/**": { lines: 80, statements: 80 },
        "gateway/client/**": { lines: 80, statements: 80 },
      },
    },
    projects: [
      {
        extends: true,
        test: {
          name: "pure",
          include: ["test/{unit,model,sim,tidy,types}/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "contract",
          include: ["test/contract/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          globalSetup: ["test/support/canarySearch.ts"],
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "hostile",
          include: ["test/{hostile,abuse}/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: "drills",
          include: ["test/drills/**/*.test.ts"],
          exclude: ALONE,
          testTimeout: 600_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          sequence: { groupOrder: 5 },
        },
      },
      {
        extends: true,
        test: {
          name: "drillsAlone",
          include: ALONE,
          testTimeout: 600_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 6 },
        },
      },
    ],
  },
})
