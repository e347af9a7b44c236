import { formatBytes, formatCount } from "../../dist/base/numbers.js";
import { dataOf } from "./downloads.ts";
import { onDrop, pickedIn } from "./dropped-files.ts";
import { byId, choose, chosen, onChoice, wordsOf } from "./page.ts";
import { DATA, exists, fileName, joinPath, namesIn, RUNS, removeTree, store } from "./storage.ts";

/** Bytes of English that one token of a small vocabulary stands for, about. */
const BYTES_PER_TOKEN = 3.2;
/** Of a file, what is looked at to see what is in it. */
const HEAD_BYTES = 4096;

export type DataKind = "wordnet" | "paste" | "file";

/** What the visitor wants the model to learn. */
export class DataChoice {
  readonly #onChange: () => void;
  #file: File | null = null;
  #builtIn: Promise<Blob> | undefined;
  /** Paths of data that were put there for an estimate or a run. */
  readonly #stored = new Set<string>();
  /** True where it is chats, as far as its beginning tells. */
  isChats = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    onChoice("data", () => void this.#look());
    byId("paste").addEventListener("input", () => void this.#look());
    const input = byId<HTMLInputElement>("data-file");
    input.addEventListener("change", () => this.#take(pickedIn(input)[0]?.file));
    onDrop(byId("data-drop"), ([first]) => this.#take(first?.file));
    void this.#tell();
  }

  get kind(): DataKind {
    return chosen("data") as DataKind;
  }

  choose(kind: DataKind): void {
    choose("data", kind);
    void this.#tell();
  }

  /** Puts the data where a run finds them, also when it goes on in another week. → their path. */
  async put(): Promise<string> {
    const data = await this.#content();
    if (data === null) throw new Error("There are no data: paste a text, choose a file, or take the built-in text.");
    const { blob, stem, ending } = data;
    const path = joinPath(DATA, `${stem}-${await fingerprint(blob)}${ending}`);
    if (!(await exists(path))) {
      await store(path, blob);
      this.#stored.add(path);
    }
    await this.#forget(path);
    return path;
  }

  /** Removes what this page has put there and no run has taken. */
  async #forget(kept: string): Promise<void> {
    const needed = new Set((await Promise.all((await namesIn(RUNS)).map(dataOf))).flat());
    for (const path of this.#stored) {
      if (path === kept) continue;
      this.#stored.delete(path);
      if (!needed.has(path)) await removeTree(path);
    }
  }

  #take(file: File | undefined): void {
    if (file === undefined) return;
    this.#file = file;
    void this.#look();
  }

  async #look(): Promise<void> {
    await this.#tell();
    this.#onChange();
  }

  /** Null where nothing was chosen yet. */
  async #content(): Promise<{ blob: Blob; stem: string; ending: string } | null> {
    if (this.kind === "wordnet") return { blob: await this.#wordNet(), stem: "wordnet", ending: ".txt" };
    if (this.kind === "paste") {
      const text = byId<HTMLTextAreaElement>("paste").value;
      if (text.trim() === "") return null;
      return { blob: new Blob([text]), stem: "pasted", ending: endingOf(text) };
    }
    if (this.#file === null) return null;
    const [, stem, ending] = /^(.*?)(\.\w+)?$/.exec(this.#file.name)!;
    return { blob: this.#file, stem: fileName(stem!) || "data", ending: (ending ?? ".txt").toLowerCase() };
  }

  #wordNet(): Promise<Blob> {
    this.#builtIn ??= this.#fetchWordNet().catch((error: Error) => {
      this.#builtIn = undefined; // it may be had later
      throw new Error(`The built-in text could not be read: ${error.message}; try again, or bring a text of your own`);
    });
    return this.#builtIn;
  }

  async #fetchWordNet(): Promise<Blob> {
    const answer = await fetch(new URL("./wordnet.txt", document.baseURI));
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    return answer.blob();
  }

  async #tell(): Promise<void> {
    const place = byId("data-said");
    // What is built in is not downloaded before it is needed.
    if (this.kind === "wordnet") {
      this.isChats = false;
      place.textContent = "";
      return;
    }
    try {
      const data = await this.#content();
      this.isChats = data !== null && isChats(await data.blob.slice(0, HEAD_BYTES).text());
      place.textContent = data === null ? "" : this.#words(data);
    } catch (error) {
      place.textContent = wordsOf(error);
    }
  }

  #words({ blob, ending }: { blob: Blob; ending: string }): string {
    const name = this.kind === "file" ? `${this.#file!.name}: ` : "";
    const what = this.isChats ? ", chats" : ending === ".jsonl" ? ", records" : "";
    const tokens = formatCount(blob.size / BYTES_PER_TOKEN);
    return `${name}${formatBytes(blob.size)}${what}, about ${tokens} tokens; the estimate counts them`;
  }
}

/** How a file of that text is named: what looks like records is read as such, so that a faulty one is told. */
function endingOf(text: string): ".json" | ".jsonl" | ".txt" {
  const start = text.trimStart().slice(0, HEAD_BYTES);
  if (/^\[\s*\{\s*"/.test(start)) return ".json";
  return /^\{\s*"[^"\n]*"\s*:/.test(start) ? ".jsonl" : ".txt";
}

/** Whether the records at the beginning hold turns. */
function isChats(head: string): boolean {
  return /^\s*\[?\s*\{/.test(head) && /"(messages|conversations?|chat|turns)"\s*:\s*\[/.test(head);
}

async function fingerprint(blob: Blob): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return [...hash.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
