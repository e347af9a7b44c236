import { ensureIsolated } from "../shell/isolation.ts";
import { DataChoice } from "./data-choice.ts";
import { removeOldDownloads } from "./downloads.ts";
import { onDrop, pickedIn } from "./dropped-files.ts";
import { Estimate } from "./estimate.ts";
import { KeptRuns } from "./kept-runs.ts";
import { hasFiles, tellMachine } from "./machine.ts";
import { ModelChoice } from "./model-choice.ts";
import { openRun } from "./open-run.ts";
import { byId, wordsOf } from "./page.ts";
import { Prompt } from "./prompt.ts";
import { PromptWorker } from "./prompt-client.ts";
import { RunControl } from "./run-control.ts";
import { SettingsForm } from "./settings-form.ts";
import { ShownRuns } from "./shown-runs.ts";
import { exists, fileName, joinPath, RUNS } from "./storage.ts";
import { makeRoom, tellRoom } from "./storage-room.ts";

const isolation = await ensureIsolated();
if (isolation !== "reloading") {
  void tellMachine(isolation);
  if (await hasFiles()) start();
  document.documentElement.dataset.ready = "";
}

function start(): void {
  // Nothing is estimated before the visitor does something: what opens the page stays small.
  let isTouched = false;
  const changed = (): void => {
    isTouched = true;
    form.changed();
  };
  const data = new DataChoice(changed);
  const model = new ModelChoice(changed);
  const estimate = new Estimate(settingsOf);
  const form: SettingsForm = new SettingsForm(data, model, (settings) => {
    byId<HTMLInputElement>("run-name").placeholder = settings.stem;
    if (isTouched) estimate.ask();
  });
  // Heard before the field itself tells of the change.
  const touch = (): void => {
    isTouched = true;
  };
  byId("form").addEventListener("input", touch, { capture: true });

  const worker = new PromptWorker();
  const prompt = new Prompt(worker);
  const kept = new KeptRuns(worker, {
    onGoOn: (run) => void goOn(run),
    onShow: (run) => {
      shown.focus(run);
      prompt.choose(run);
      byId("report").scrollIntoView();
    },
    onDeleted: () => {
      shown.look();
      void tellRoom();
    },
  });
  const shown = new ShownRuns(kept, prompt);
  const control = new RunControl({
    onTrain: () => void train(),
    onGoOn: (run) => void goOn(run),
    onRecord: () => shown.look(),
    onTraining: (run) => {
      kept.training(run);
      estimate.hold(run !== null);
      shown.look();
      if (run === null) void tellRoom();
      else shown.focus(run);
    },
  });

  async function settingsOf() {
    return { ...form.settings(), data: await data.put() };
  }

  async function train(): Promise<void> {
    try {
      const settings = await settingsOf();
      const name = await freeName(fileName(byId<HTMLInputElement>("run-name").value) || form.stem);
      await trainAs(name, (highrank, options) => highrank.train({ ...settings, out: joinPath(RUNS, name) }, options));
    } catch (error) {
      control.fault(error);
      form.focusFaulty();
    }
  }

  async function goOn(name: string): Promise<void> {
    await trainAs(name, (highrank, options) => highrank.resume(joinPath(RUNS, name), {}, options));
  }

  async function trainAs(name: string, begin: Parameters<RunControl["follow"]>[1]): Promise<void> {
    byId<HTMLDetailsElement>("setup").open = false;
    const room = await makeRoom();
    const run = control.follow(name, begin);
    if (room !== null) control.notice(room);
    await run;
  }

  async function open(files: readonly { readonly file: File }[]): Promise<void> {
    const zip = files.find(({ file }) => file.name.endsWith(".zip"));
    if (zip === undefined) return kept.say("That is no zip file of a run.");
    kept.say("Opening …");
    try {
      const name = await openRun(zip.file);
      kept.say(name === null ? "" : `${name} is here.`);
      shown.look();
      if (name !== null) shown.focus(name);
    } catch (error) {
      kept.say(wordsOf(error));
    }
  }

  const opener = byId<HTMLInputElement>("open-run");
  opener.addEventListener("change", () => {
    void open(pickedIn(opener));
    opener.value = "";
  });
  onDrop(document.body, (files) => void open(files));
  void tellRoom();
  void removeOldDownloads();
}

/** The name, or the same with a number where there is such a run. */
async function freeName(stem: string): Promise<string> {
  for (let count = 1; ; count++) {
    const name = count === 1 ? stem : `${stem}-${count}`;
    if (!(await exists(joinPath(RUNS, name)))) return name;
  }
}
