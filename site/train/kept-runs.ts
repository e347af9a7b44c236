import { formatBytes } from "../../dist/base/numbers.js";
import type { RunUpdate } from "../../dist/runs/report/page-data.js";
import { dataOf, download, PARTS, type Part } from "./downloads.ts";
import { button, byId, element, isAgreed, wordsOf } from "./page.ts";
import type { PromptWorker } from "./prompt-client.ts";
import { bytesBelow, joinPath, namesIn, RUNS, removeTree } from "./storage.ts";

/** What the list asks of the rest of the page. */
export interface KeptListener {
  onGoOn(run: string): void;
  onShow(run: string): void;
  onDeleted(run: string): void;
}

/** The list of the runs in this browser, with what can be done with each. */
export class KeptRuns {
  readonly #listener: KeptListener;
  readonly #worker: PromptWorker;
  readonly #updates = new Map<string, RunUpdate>();
  readonly #rows = new Map<string, { readonly row: HTMLElement; readonly text: string }>();
  #ids: readonly string[] = [];
  /** The run that trains in this tab. */
  #training: string | null = null;

  constructor(worker: PromptWorker, listener: KeptListener) {
    this.#worker = worker;
    this.#listener = listener;
  }

  list(ids: readonly string[]): void {
    this.#ids = ids;
    for (const id of this.#updates.keys()) if (!ids.includes(id)) this.#updates.delete(id);
    this.#draw();
  }

  update(update: RunUpdate): void {
    this.#updates.set(update.id, update);
    this.#draw();
  }

  training(run: string | null): void {
    this.#training = run;
    this.#draw();
  }

  isRunning(run: string): boolean {
    return this.#updates.get(run)?.isRunning ?? false;
  }

  say(words: string): void {
    byId("kept-said").textContent = words;
  }

  #draw(): void {
    byId("kept-none").hidden = this.#ids.length > 0;
    for (const [id, { row }] of this.#rows) {
      if (this.#ids.includes(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    for (const [place, id] of this.#ids.entries()) {
      const row = this.#rowOf(id);
      const list = byId("kept");
      if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
    }
  }

  /** The row of a run: the one that is there, so that what has the focus keeps it, unless its buttons change. */
  #rowOf(id: string): HTMLElement {
    const update = this.#updates.get(id);
    const isBusy = this.#training !== null;
    const text = [update?.state, isBusy].join();
    const before = this.#rows.get(id);
    const row = before?.text === text ? before.row : this.#makeRow(id, update, isBusy);
    if (before !== undefined && before.row !== row) before.row.replaceWith(row);
    this.#rows.set(id, { row, text });
    row.querySelector(".facts-line")!.textContent = update === undefined ? "…" : this.#factsOf(id, update);
    return row;
  }

  #factsOf(id: string, { state, isRunning, facts }: RunUpdate): string {
    const where = isRunning && id !== this.#training ? ", in another tab" : "";
    const steps = facts.maxSteps === null ? `step ${facts.step}` : `step ${facts.step} of ${facts.maxSteps}`;
    const loss = facts.loss === null ? "" : `, loss ${facts.loss.toFixed(4)}`;
    const heldOut = facts.heldOut === null ? "" : `, held-out ${facts.heldOut.toFixed(4)}`;
    return `${state}${where}, ${steps}${loss}${heldOut}`;
  }

  #makeRow(id: string, update: RunUpdate | undefined, isBusy: boolean): HTMLElement {
    const isRunning = update?.isRunning ?? id === this.#training;
    const goOn = button("Go on", `Go on with ${id}`, () => this.#listener.onGoOn(id));
    goOn.disabled = isBusy || isRunning;
    goOn.hidden = update?.state === "done" || update?.state === "ended early";
    const remove = button("Delete", `Delete ${id}`, () => void this.#delete(id));
    remove.disabled = isRunning;
    const downloads = element("select", { ariaLabel: `Download of ${id}` }, [
      element("option", { value: "" }, ["Download …"]),
      ...Object.entries(PARTS).map(([value, words]) => element("option", { value }, [`${words}, zip`])),
    ]);
    downloads.disabled = update === undefined;
    downloads.addEventListener("change", () => {
      void this.#download(id, downloads.value as Part);
      downloads.value = "";
    });
    return element("li", {}, [
      element("b", {}, [element("bdi", {}, [id])]),
      element("span", { className: "facts-line" }),
      element("span", { className: "row" }, [
        goOn,
        button("Show", `Show ${id}`, () => this.#listener.onShow(id)),
        downloads,
        remove,
      ]),
    ]);
  }

  async #download(run: string, part: Part | ""): Promise<void> {
    if (part === "") return;
    this.say("Putting it together …");
    try {
      await download(run, part, this.#worker, (words) => this.say(words));
    } catch (error) {
      this.say(wordsOf(error));
    }
  }

  async #delete(run: string): Promise<void> {
    const folder = joinPath(RUNS, run);
    const data = await this.#onlyIts(run);
    const size = formatBytes(await bytesBelow(folder));
    const also = data.length === 0 ? "" : `\nSo do its data, which no other run has: ${data.join(", ")}.`;
    const text = `Its checkpoints, adapter, model and report go, ${size}. What you downloaded stays.${also}`;
    if (!(await isAgreed(`Delete ${run}?`, text, "Delete"))) return;
    try {
      await removeTree(folder);
      for (const path of data) await removeTree(path);
      this.say(`${run} is deleted.`);
      this.#listener.onDeleted(run);
    } catch (error) {
      this.say(wordsOf(error));
    }
  }

  /** The data of a run that no other one needs. */
  async #onlyIts(run: string): Promise<string[]> {
    const others = (await namesIn(RUNS)).filter((name) => name !== run);
    const needed = new Set((await Promise.all(others.map(dataOf))).flat());
    return (await dataOf(run)).filter((path) => !needed.has(path));
  }
}
