import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { availableMemoryBytes, cpuCount, freeDiskBytes, runtimeVersions, totalMemoryBytes } from "#platform";
import { formatBytes } from "../base/numbers.js";
import { SETTINGS, type Settings } from "../config/settings.js";
import { LAUNCHER_NAMES, type Launcher, launcherOf } from "../distributed/launcher.js";
import type { Context } from "./context.js";
import { EXIT } from "./exit-codes.js";
import type { MpiCheck } from "./probe-mpi.js";
import { runCheckLines } from "./run-check-lines.js";
import { addVerb } from "./usage.js";
import { packageVersion } from "./version.js";

const PROBE_TIMEOUT_MS = 60_000;

interface ProviderCheck {
  readonly name: Settings["device"];
  readonly works: boolean;
  /** The provider's message when it failed. */
  readonly fault: string | null;
}

const HELP_AFTER = `
With RUN, every file of the run is read and checked against the others:
settings, base, deltas, checkpoints, data, metrics. Nothing is written. Each
part is ok, repairable (highrank resume repairs it) or damaged; if one is
damaged, the exit code is 3.`;

/** `highrank doctor [RUN]` */
export function addDoctor(program: Command, context: Context): void {
  const command = addVerb(program, "doctor", "check the machine (runtime, ONNX Runtime, memory, disk) or a run folder")
    .argument("[RUN]", "the run folder to check instead of the machine")
    .addHelpText("after", HELP_AFTER);
  command.action(async (runFolder: string | undefined) => {
    if (runFolder !== undefined) {
      const { checkRun } = await import("../verbs/doctor/check-run.js");
      const check = await checkRun(runFolder);
      if (check.state === "damaged") context.exitCode = EXIT.data;
      context.result(check, () => runCheckLines(check, context.outlet, context.env));
      return;
    }
    const providers: ProviderCheck[] = [];
    for (const device of SETTINGS.device.choices) providers.push(await checkProvider(device));
    const found = {
      highrank: await packageVersion(),
      ...(await runtimeVersions()),
      providers,
      mpi: await checkMpi(),
      launcher: launcherOf(context.env),
      threads: cpuCount(),
      memoryBytes: totalMemoryBytes(),
      availableMemoryBytes: availableMemoryBytes(),
      freeDiskBytes: await freeDiskBytes("."),
    };
    if (!providers.some(({ name, works }) => name === "cpu" && works)) context.exitCode = EXIT.internal;
    const [runtime, version] = found.runtime.split(" ");
    context.result(found, () => [
      `highrank      ${found.highrank}`,
      `${runtime!.padEnd(14)}${version} (${found.platform})`,
      `ONNX Runtime  ${found.onnxruntime}`,
      ...providers.map(
        ({ name, works, fault }) => `  ${name.padEnd(10)}  ${works ? "works" : `does not start: ${fault}`}`,
      ),
      ...mpiLines(found.mpi, found.launcher, context.env.HIGHRANK_MPI_LIBRARY),
      `threads       ${found.threads}`,
      `memory        ${formatBytes(found.memoryBytes)}, ${formatBytes(found.availableMemoryBytes)} available`,
      `disk          ${formatBytes(found.freeDiskBytes)} free in this folder`,
    ]);
  });
}

function checkProvider(device: Settings["device"]): Promise<ProviderCheck> {
  const probe = fileURLToPath(new URL("./probe-provider.js", import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [probe, device], { timeout: PROBE_TIMEOUT_MS }, (error, _stdout, stderr) => {
      resolve({ name: device, works: error === null, fault: error === null ? null : faultOf(error, stderr) });
    });
  });
}

/** Like a provider, a library that is broken may end the process that loads it. */
function checkMpi(): Promise<MpiCheck> {
  const probe = fileURLToPath(new URL("./probe-mpi.js", import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [probe], { timeout: PROBE_TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout));
      else resolve({ koffi: null, library: null, version: null, fault: faultOf(error, stderr) });
    });
  });
}

/** Only those who want several processes are told why there can be none. */
function mpiLines(
  { koffi, library, version, fault }: MpiCheck,
  launcher: Launcher | null,
  named: string | undefined,
): string[] {
  const isWanted = launcher !== null || Boolean(named);
  const none = isWanted ? fault : `none${koffi === null ? ", nor koffi" : ""}; only several processes need it`;
  const lines = [`MPI           ${library === null ? none : `${version} (${library}), koffi ${koffi}`}`];
  if (launcher !== null) {
    const { kind, rank, size } = launcher;
    lines.push(`launcher      ${LAUNCHER_NAMES[kind]}, rank ${rank}${size === null ? "" : ` of ${size}`}`);
  }
  return lines;
}

/** The line of the child's output that names the error, or else how the child ended. */
function faultOf(error: Error & { signal?: NodeJS.Signals | null; killed?: boolean }, stderr: string): string {
  if (error.killed === true) return `no answer within ${PROBE_TIMEOUT_MS / 1000} seconds`;
  const named = /^(?:Uncaught )?\w*Error: (?:\w+: )?(.*)$/m.exec(stderr)?.[1];
  // ONNX Runtime puts the place in its own source before the reason.
  if (named !== undefined) return named.replace(/\/\S*onnxruntime\S*\.(?:cc|h):\d+ .* was false\. /, "");
  return error.signal != null ? `the process ended with ${error.signal}` : "the process ended without a message";
}
