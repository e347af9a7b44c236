import { formatBytes, smallest } from "../../dist/base/numbers.js";
import { MODEL_PRESETS } from "../../dist/config/presets.js";
import { onDrop, type PickedFile, pickedIn } from "./dropped-files.ts";
import { byId, choose, chosen, element, fill, isAgreed, onChoice, onClick, wordsOf } from "./page.ts";
import { bytesBelow, fileName, joinPath, MODELS, namesIn, removeTree, store } from "./storage.ts";

/** Presets that fit a page, with what is said of them. */
const SIZES: Readonly<Record<string, string>> = {
  tiny: "for a first look",
  micro: "small",
  nano: "for a first run",
  "9m": "a little wider than micro",
  small: "with a GPU, or patience",
  "20m": "with a GPU, or patience",
  "35m": "with a GPU",
};

/** Of a folder, the files that a model is made of. */
const OF_MODEL = /\.(json|safetensors|jinja|txt|model|gguf)$/i;

/** The model that is trained: a size that starts at random, or one of the visitor's. */
export class ModelChoice {
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    fill(
      byId("model"),
      Object.entries(SIZES).map(([value, words]) =>
        element("option", { value }, [`${value}: ${shape(value)}, ${words}`]),
      ),
    );
    onChoice("start", onChange);
    byId("model").addEventListener("change", onChange);
    byId("own-model").addEventListener("change", onChange);
    for (const id of ["model-folder", "model-files"]) {
      const input = byId<HTMLInputElement>(id);
      input.addEventListener("change", () => void this.#take(pickedIn(input)));
    }
    onDrop(byId("model-drop"), (files) => void this.#take(files));
    onClick("remove-model", () => void this.#remove());
    void this.#list();
  }

  get isPreset(): boolean {
    return chosen("start") === "preset";
  }

  /** A preset's name, or the path of a folder or file; null where none was given. */
  get model(): string | null {
    if (this.isPreset) return byId<HTMLSelectElement>("model").value;
    return byId<HTMLSelectElement>("own-model").value || null;
  }

  choosePreset(name: string): void {
    choose("start", "preset");
    if (Object.hasOwn(SIZES, name)) byId<HTMLSelectElement>("model").value = name;
  }

  async #take(picked: readonly PickedFile[]): Promise<void> {
    const files = topmost(picked);
    const fault = lackOf(files.map(({ name }) => name));
    if (fault !== null) {
      byId("model-said").textContent = fault;
      return;
    }
    const folder = joinPath(MODELS, nameOf(picked));
    const all = files.reduce((sum, { file }) => sum + file.size, 0);
    const bar = byId<HTMLProgressElement>("copied");
    byId("copying").hidden = false;
    byId("model-said").textContent = "";
    let done = 0;
    try {
      await removeTree(folder);
      for (const { name, file } of files) {
        await store(joinPath(folder, name), file, (bytes) => {
          done += bytes;
          bar.value = done / all;
        });
      }
      await this.#list(folder);
      byId("model-said").textContent = `${files.length} files copied, ${formatBytes(all)}.`;
      this.#onChange();
    } catch (error) {
      await removeTree(folder).catch(() => {});
      byId("model-said").textContent = wordsOf(error);
    } finally {
      byId("copying").hidden = true;
    }
  }

  /** Lists the models that are here. @param folder the one to choose. */
  async #list(folder?: string): Promise<void> {
    const select = byId<HTMLSelectElement>("own-model");
    const before = folder ?? select.value;
    const options: HTMLOptionElement[] = [];
    for (const name of await namesIn(MODELS)) {
      const path = joinPath(MODELS, name);
      const files = await namesIn(path);
      // A GGUF file is a model by itself.
      const value = files.length === 1 ? joinPath(path, files[0]!) : path;
      options.push(element("option", { value, selected: path === before || value === before }, [name]));
    }
    fill(select, options.length > 0 ? options : [element("option", { value: "" }, ["none yet"])]);
    byId("remove-model").hidden = options.length === 0;
  }

  async #remove(): Promise<void> {
    const [name] = byId<HTMLSelectElement>("own-model")
      .value.slice(MODELS.length + 1)
      .split("/");
    const folder = joinPath(MODELS, name!);
    const size = formatBytes(await bytesBelow(folder));
    const text = `The copy of ${name} in this browser goes, ${size}. Runs that were made of it keep their own copy.`;
    if (!(await isAgreed("Remove the model?", text, "Remove"))) return;
    await removeTree(folder);
    await this.#list();
    this.#onChange();
  }
}

function shape(name: string): string {
  const { hiddenSize, numHiddenLayers } = MODEL_PRESETS[name]!;
  return `${numHiddenLayers} layers of ${hiddenSize}`;
}

/** The files of the model at the top of what was picked. */
function topmost(picked: readonly PickedFile[]): { name: string; file: File }[] {
  const depth = smallest(picked.map(({ path }) => path.split("/").length));
  return picked.flatMap(({ path, file }) => {
    const parts = path.split("/");
    return parts.length === depth && OF_MODEL.test(path) ? [{ name: parts.at(-1)!, file }] : [];
  });
}

/** What is missing, in words; null if nothing is. */
function lackOf(names: readonly string[]): string | null {
  if (names.some((name) => /\.gguf$/i.test(name)) && names.length === 1) return null;
  const lacks = [
    ...(names.includes("config.json") ? [] : ["config.json"]),
    ...(names.includes("tokenizer.json") ? [] : ["tokenizer.json"]),
    ...(names.some((name) => name.endsWith(".safetensors")) ? [] : ["a file of weights (*.safetensors)"]),
  ];
  return lacks.length === 0 ? null : `That is no model folder: ${lacks.join(", ")} is missing. Choose all its files.`;
}

function nameOf([first]: readonly PickedFile[]): string {
  const parts = first!.path.split("/");
  return (
    fileName(parts.length > 1 ? parts.at(-2)! : first!.file.name.replace(/\.gguf$|^config\.json$/i, "")) || "model"
  );
}
