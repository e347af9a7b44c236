import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

/** What of each kind of record depends on neither clock nor memory. */
const KEPT = {
  start: ["step", "quantizer", "trainableParameters"],
  step: ["step", "cycle", "phase", "tokens", "loss", "learningRate"],
  eval: ["step", "tokens", "loss", "sample"],
  merge: ["step", "cycle", "policy", "lossBefore", "lossAfter"],
  reset: ["step", "zeroedFraction"],
  end: ["step", "outcome", "modelStep", "tokens", "skipped"],
};

export async function observe(main, { name, folder }, continuing = []) {
  const command = async (...args) => {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...args, "--json"], { cwd: folder });
    return JSON.parse(stdout);
  };
  const records = async () => {
    const text = await readFile(path.join(folder, name, "metrics.jsonl"), "utf8");
    return text.trim().split("\n").map(JSON.parse);
  };

  const { kind, step, checkpoints, settings } = await command("inspect", name);
  // Chats that are read anew mean what they mean today. A run goes on with what they meant when it began.
  const data = settings.data === "chats.jsonl" ? "samples.jsonl" : settings.data;
  const evaluate = async (...target) => {
    const { loss, tokens } = await command("eval", ...target, "--data", data, "--max-tokens", "600");
    return { loss, tokens };
  };
  const { state, findings } = await command("doctor", name);
  const evaluation = await evaluate(name);
  const { text } = await command("generate", name, "--prompt", "The cat", "--max-new-tokens", "16", ...continuing);

  const peft = `${name}-peft`;
  await command("export", name, "--to", "peft", "--out", peft);
  const { config } = await command("inspect", peft);
  const exported = { config, evaluation: await evaluate(`${name}/base`, "--adapters", peft) };

  const before = (await records()).filter((record) => record.kind !== "end").length;
  await command("resume", name);
  const resumed = (await records()).slice(before).filter((record) => record.kind in KEPT);
  return {
    inspect: { kind, step, checkpoints },
    doctor: { state, faults: findings.filter((finding) => finding.state !== "ok") },
    evaluation,
    text,
    exported,
    resumed: resumed.map((record) =>
      Object.fromEntries(["kind", ...KEPT[record.kind]].map((key) => [key, record[key]])),
    ),
  };
}
