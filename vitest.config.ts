import { defineConfig } from "vitest/config"

/**
 * Four projects by what they need. The groups run one after another: only the first uses both cores, so that no test
 * that waits for an engine or a process competes with one that computes.
 */
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
          include: ["test/{e2e,hostile,abuse}/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "drills",
          include: ["test/drills/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
})
