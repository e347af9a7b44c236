import type { RunsPage } from "../../src/runs/report/browser/runs-page.ts";
import type { KeptRuns } from "./kept-runs.ts";
import { byId } from "./page.ts";
import type { Prompt } from "./prompt.ts";
import { namesIn, RUNS } from "./storage.ts";

/** Keeps the list of runs, the prompt and the charts up to date. What draws them is loaded when there is a run. */
export class ShownRuns {
  readonly #kept: KeptRuns;
  readonly #prompt: Prompt;
  #page: RunsPage | undefined;
  #look: Promise<() => void> | undefined;
  #ids: readonly string[] = [];
  #focus: string | undefined;

  constructor(kept: KeptRuns, prompt: Prompt) {
    this.#kept = kept;
    this.#prompt = prompt;
    void namesIn(RUNS).then((names) => {
      if (names.length > 0) this.look();
    });
  }

  /** Looks for what is new, soon. */
  look(): void {
    if (this.#look === undefined) this.#look = this.#begin();
    else void this.#look.then((look) => look());
  }

  /** Shows the details of a run, once it is there. */
  focus(run: string): void {
    this.#focus = run;
    if (!this.#ids.includes(run)) return;
    this.#page?.focus(run);
    this.#focus = undefined;
  }

  async #begin(): Promise<() => void> {
    const [{ followRuns }, { openReport }] = await Promise.all([import("./follow-runs.ts"), import("./report.ts")]);
    const page = openReport();
    this.#page = page;
    return followRuns({
      onList: (ids) => {
        for (const id of this.#ids) if (!ids.includes(id)) page.forget(id);
        this.#ids = ids;
        byId("report").hidden = byId("report-rest").hidden = ids.length === 0;
        this.#kept.list(ids);
        this.#prompt.offer(ids, (run) => this.#kept.isRunning(run));
      },
      onRun: (update) => {
        page.update(update);
        this.#kept.update(update);
        if (this.#focus === update.id) {
          this.#prompt.choose(update.id);
          this.focus(update.id);
        }
      },
    });
  }
}
