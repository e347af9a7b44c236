import { formatNumber } from "../../dist/base/numbers.js";
import { byId, element, fill, onClick, wordsOf } from "./page.ts";
import type { PromptWorker } from "./prompt-client.ts";
import { exists, joinPath, RUNS, readText } from "./storage.ts";

type Turn = { readonly role: "user" | "assistant"; readonly content: string };

/** A checkpoint of a run by its step; null for the finished model. */
type Source = { readonly checkpoint: number | null } | "none yet";

/** Where the visitor tries what a run has learned, also while it learns. */
export class Prompt {
  readonly #worker: PromptWorker;
  #runs: readonly string[] = [];
  #isRunning: (run: string) => boolean = () => false;
  #turns: Turn[] = [];
  #chats: { readonly key: string; readonly isChat: boolean } | undefined;
  #isWriting = false;
  #asked = 0;

  constructor(worker: PromptWorker) {
    this.#worker = worker;
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#ask();
    });
    byId("prompt").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void this.#ask();
    });
    byId("ask-run").addEventListener("change", () => this.#anew());
    onClick("ask-anew", () => this.#anew());
    onClick("ask-stop", () => worker.stop());
  }

  /** The runs that can be asked. */
  offer(runs: readonly string[], isRunning: (run: string) => boolean): void {
    this.#isRunning = isRunning;
    if (runs.join() === this.#runs.join()) return;
    this.#runs = runs;
    const select = byId<HTMLSelectElement>("ask-run");
    const before = select.value;
    fill(
      select,
      runs.map((name) => element("option", { value: name, selected: name === before }, [name])),
    );
    byId("try").hidden = runs.length === 0;
    if (select.value !== before) this.#anew();
  }

  choose(run: string): void {
    if (!this.#runs.includes(run) || this.#isWriting) return;
    byId<HTMLSelectElement>("ask-run").value = run;
    this.#anew();
  }

  #anew(): void {
    this.#turns = [];
    this.#chats = undefined;
    fill(byId("turns"), []);
    byId("ask-anew").hidden = true;
    byId("ask-said").textContent = "";
    byId("prompt-label").textContent = "Beginning of a text, or what you say in a chat";
  }

  async #ask(): Promise<void> {
    const run = byId<HTMLSelectElement>("ask-run").value;
    if (this.#isWriting || run === "") return;
    this.#show(true);
    try {
      await this.#write(run, await sourceOf(run, this.#isRunning(run)));
    } catch (error) {
      byId("ask-said").textContent = wordsOf(error);
    } finally {
      this.#show(false);
    }
  }

  async #write(name: string, source: Source): Promise<void> {
    const said = byId("ask-said");
    if (source === "none yet") {
      said.textContent = `${name} has saved nothing yet: the first checkpoint comes soon, or when it is paused.`;
      return;
    }
    const { checkpoint } = source;
    const run = joinPath(RUNS, name);
    said.textContent = "Loading …";
    const key = `${run} ${checkpoint}`;
    if (this.#chats?.key !== key) this.#chats = { key, isChat: await this.#worker.isChat(run, checkpoint) };
    const { isChat } = this.#chats;
    const prompt = byId<HTMLTextAreaElement>("prompt");
    const asked = prompt.value;
    if (isChat) this.#turns.push({ role: "user", content: asked });
    said.textContent = "Writing …";
    const shown = element("p", {}, [isChat ? "" : asked]);
    const [questions, answers] = [element("p", { className: "asked" }, [asked]), shown];
    if (isChat) byId("turns").append(questions, answers);
    else fill(byId("turns"), [answers]);
    const started = performance.now();
    const options = {
      maxNewTokens: byId<HTMLInputElement>("ask-tokens").valueAsNumber || 60,
      temperature: byId<HTMLInputElement>("ask-heat").valueAsNumber || 0,
      seed: this.#asked++,
    };
    const task = { run, checkpoint, prompt: isChat ? this.#turns : asked, ...options };
    await this.#worker.write(task, (piece) => shown.append(piece));
    const seconds = formatNumber((performance.now() - started) / 1000);
    const by = checkpoint === null ? "the finished model" : `the checkpoint of step ${checkpoint}`;
    said.textContent = `Written in ${seconds} s by ${by}.`;
    if (!isChat) return;
    this.#turns.push({ role: "assistant", content: shown.textContent });
    prompt.value = "";
    byId("prompt-label").textContent = "What you say next";
    byId("ask-anew").hidden = false;
  }

  #show(isWriting: boolean): void {
    this.#isWriting = isWriting;
    byId<HTMLButtonElement>("ask-now").disabled = isWriting;
    byId<HTMLButtonElement>("ask-stop").disabled = !isWriting;
  }
}

/** The finished model of a run, or its newest checkpoint. */
async function sourceOf(run: string, isRunning: boolean): Promise<Source> {
  const model = joinPath(RUNS, run, "model/checksums.json");
  if (!isRunning && (await exists(model))) return { checkpoint: null };
  const last = joinPath(RUNS, run, "last");
  if (!(await exists(last))) return "none yet";
  return { checkpoint: Number((await readText(last)).replace(/\D/g, "")) };
}
