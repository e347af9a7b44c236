// Runs the suites of tests/suites.json, each within its minutes, and ends with the line "N passed, N failed".
//
//   node scripts/test.js [--all | --suite NAME] [FILTER or flags of vitest …]
//
// Without --all or --suite the first suite alone. A suite that is over its minutes says so; at twice as many it is ended and counts
// as failed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const args = process.argv.slice(2);
const table = JSON.parse(readFileSync(path.join(root, "tests/suites.json"), "utf8"));
const suites = chosenSuites();
const minutes = suites.reduce((sum, suite) => sum + suite.minutes, 0);
console.log(
  `Running ${suites.length === 1 ? "one suite" : `${suites.length} suites`}, at most ${minutes} minutes on two cores:`,
);
for (const { name, minutes, holds } of suites)
  console.log(`  ${name.padEnd(8)} ${String(minutes).padStart(2)} min  ${holds}`);
if (suites.length < table.length) console.log("All suites: npm run test:all");

const folder = mkdtempSync(path.join(tmpdir(), "highrank-tests-"));
const ended = suites.map((suite) => {
  const results = path.join(folder, `${suite.name}.json`);
  const started = performance.now();
  const flags = ["run", "--project", suite.name, "--passWithNoTests", "--reporter=default", "--reporter=json"];
  const { status, signal } = spawnSync(
    process.execPath,
    [path.join(root, "node_modules/vitest/vitest.mjs"), ...flags, `--outputFile.json=${results}`, ...args],
    { cwd: root, stdio: "inherit", timeout: suite.minutes * 120_000, killSignal: "SIGTERM" },
  );
  const used = (performance.now() - started) / 60_000;
  return { ...suite, used, ...countsOf(results, { status, signal }) };
});
rmSync(folder, { recursive: true });

console.log();
for (const { name, passed, failed, used, minutes, faults } of ended) {
  const over = used > minutes ? ", over its budget" : "";
  console.log(
    `${name.padEnd(8)} ${passed} passed, ${failed} failed in ${used.toFixed(1)} of ${minutes} minutes${over}`,
  );
  for (const fault of faults) console.log(`  ${fault}`);
}
const sum = (key) => ended.reduce((total, suite) => total + suite[key], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
process.exitCode = ended.every(({ isGreen }) => isGreen) ? 0 : 1;

/** Takes the flag that names them from the arguments. */
function chosenSuites() {
  if (args[0] === "--all") {
    args.shift();
    return table;
  }
  if (args[0] !== "--suite") return table.slice(0, 1);
  const [, wanted] = args.splice(0, 2);
  const found = table.filter(({ name }) => name === wanted);
  if (found.length > 0) return found;
  throw new Error(`--suite must be one of ${table.map(({ name }) => name).join(", ")}, got ${wanted}`);
}

/** What the results of a suite say; a suite that was ended or wrote none has failed. */
function countsOf(file, { status, signal }) {
  let results;
  try {
    results = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    const why = signal === null ? `vitest ended with code ${status} and wrote no results` : "over its minutes, ended";
    return { passed: 0, failed: 1, faults: [why], isGreen: false };
  }
  const broken = results.testResults.filter((each) => each.status === "failed" && each.assertionResults.length === 0);
  const skipped = results.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter((each) => !["passed", "failed"].includes(each.status))
      .map((each) => `skipped: ${path.relative(root, name)}: ${each.fullName}`),
  );
  const failed = results.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter((each) => each.status === "failed")
      .map(({ fullName, failureMessages: [why = ""] }) => {
        return `failed: ${path.relative(root, name)}: ${fullName}: ${why.split("\n", 1)[0].slice(0, 300)}`;
      }),
  );
  const filtered = args.some((arg) => arg === "-t" || arg.startsWith("--testNamePattern"));
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + broken.length,
    faults: [
      ...broken.map(({ name }) => `did not load: ${path.relative(root, name)}`),
      ...failed,
      ...(filtered ? [] : skipped),
    ],
    isGreen: status === 0,
  };
}
