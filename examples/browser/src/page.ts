import { HighrankError, type Run, type RunOptions, resume, train } from "highrank";
import { download, hasFile, writeText } from "./files.js";
import { builtInText } from "./text.js";

const RUN = "run";
const ADAPTER = ["adapter_model.safetensors", "adapter_config.json"];

const at = <T extends Element>(id: string): T => document.querySelector<T>(`#${id}`)!;
const text = at<HTMLTextAreaElement>("text");
const steps = at<HTMLInputElement>("steps");
const [trainButton, resumeButton, stopButton] = ["train", "resume", "stop"].map((id) => at<HTMLButtonElement>(id));

text.value = builtInText();
let losses: number[] = [];
let stopper = new AbortController();

const say = (words: string): void => {
  at("status").textContent = words;
};

function showLosses(): void {
  const most = Math.max(...losses);
  const x = (i: number): number => (600 * i) / Math.max(1, losses.length - 1);
  at("curve").setAttribute("points", losses.map((loss, i) => `${x(i)},${200 - (190 * loss) / most}`).join(" "));
  at("losses").textContent = `Step ${losses.length}: loss ${losses.at(-1)!.toFixed(4)}`;
}

/** Listens to a run: `train` computes in a worker of its own, so that this page stays alive. */
const listeners = (): RunOptions => ({
  signal: stopper.signal,
  onNotice(notice) {
    const line = document.createElement("li");
    line.textContent = notice;
    at("notices").append(line);
  },
  onRecord(record) {
    if (record.kind === "start") {
      losses.length = record.step;
      say(`Training ${record.model}, ${record.parameters.toLocaleString("en")} parameters, on ${record.device}`);
    }
    if (record.kind !== "step") return;
    losses[record.step - 1] = record.loss;
    losses = Array.from(losses, (loss) => loss ?? record.loss);
    showLosses();
  },
});

async function follow(start: () => Promise<Run>): Promise<void> {
  stopper = new AbortController();
  for (const button of [trainButton, resumeButton]) button!.disabled = true;
  stopButton!.disabled = false;
  at("notices").replaceChildren();
  at("files").replaceChildren();
  say("Getting ready …");
  try {
    const run = await start();
    const loss = run.finalLoss === null ? "" : `, held-out loss ${run.finalLoss.toFixed(5)}`;
    say(`${run.outcome === "done" ? "Done" : "Stopped"} after ${run.step} steps${loss}`);
    if (run.outcome !== "done") return;
    for (const name of ADAPTER) at("files").append(await download(`${RUN}/adapter/${name}`));
  } catch (error) {
    say(error instanceof HighrankError ? error.message : String(error));
  } finally {
    stopButton!.disabled = true;
    await ready();
  }
}

async function ready(): Promise<void> {
  trainButton!.disabled = false;
  resumeButton!.disabled = !(await hasFile(`${RUN}/config.resolved.json`));
}

trainButton!.addEventListener("click", () =>
  follow(async () => {
    losses = [];
    const paragraphs = text.value.split("\n\n");
    const heldOut = Math.max(1, Math.floor(paragraphs.length / 10));
    await writeText("train.txt", paragraphs.slice(heldOut).join("\n\n"));
    await writeText("held-out.txt", paragraphs.slice(0, heldOut).join("\n\n"));
    return train(
      {
        model: "nano",
        data: "train.txt",
        validData: "held-out.txt",
        method: "relora",
        rank: 8,
        sequenceLength: 64,
        batchSize: 4,
        maxSteps: Number(steps.value),
        reloraEvery: Math.min(8, Number(steps.value)),
        saveEvery: 5,
        out: RUN,
        overwrite: true,
      },
      listeners(),
    );
  }),
);
resumeButton!.addEventListener("click", () => follow(() => resume(RUN, {}, listeners())));
stopButton!.addEventListener("click", () => stopper.abort());

await ready();
