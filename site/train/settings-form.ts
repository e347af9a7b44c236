import type { TrainSettings } from "../../dist/config/train-settings.js";
import type { DataChoice, DataKind } from "./data-choice.ts";
import { FIELDS, type Field } from "./fields.ts";
import type { ModelChoice } from "./model-choice.ts";
import { byId, element, fill, onClick } from "./page.ts";

const DATA_KINDS: readonly string[] = ["wordnet", "paste", "file"] satisfies DataKind[];
const FIRST_MODEL = "nano";

/** The settings of a run as the form has them, which the address of the page repeats. */
export class SettingsForm {
  readonly #inputs = new Map<string, HTMLInputElement | HTMLSelectElement>();
  readonly #data: DataChoice;
  readonly #model: ModelChoice;
  readonly #onChange: (form: SettingsForm) => void;

  constructor(data: DataChoice, model: ModelChoice, onChange: (form: SettingsForm) => void) {
    this.#data = data;
    this.#model = model;
    this.#onChange = onChange;
    const made = (isMore: boolean) =>
      FIELDS.filter((field) => (field.isMore ?? false) === isMore).map((field) => this.#make(field));
    fill(byId("fields"), made(false));
    fill(byId("more-fields"), made(true));
    byId("others").addEventListener("input", () => this.changed());
    onClick("link", () => void this.#copyLink());
    window.addEventListener("hashchange", () => this.#read());
    byId("form").addEventListener("submit", (event) => event.preventDefault());
    this.#read();
  }

  /** To be told when the data or the model were changed. */
  changed(): void {
    const query = this.#differing().toString();
    if (query !== location.hash.slice(1)) {
      history.replaceState(null, "", query === "" ? location.pathname + location.search : `#${query}`);
    }
    this.#onChange(this);
  }

  /** A name for a run with these settings. */
  get stem(): string {
    const model = this.#model.model?.split("/").at(2) ?? this.#model.model ?? "run";
    return `${model}-${this.#value("method")}`;
  }

  /** @throws Error in words for the visitor. */
  settings(): TrainSettings {
    const faulty = this.#faulty();
    if (faulty !== undefined)
      throw new Error(`${faulty.labels![0]!.firstChild!.textContent}: ${faulty.validationMessage}`);
    const { model, isPreset } = this.#model;
    if (model === null) throw new Error("There is no model yet: choose a folder, or a size to train from scratch.");
    const steps = Number(this.#value("maxSteps"));
    const tenth = Math.max(1, Math.round(steps / 10));
    const given = Object.fromEntries(FIELDS.flatMap((field) => this.#given(field, isPreset)));
    const chats = this.#data.isChats && isPreset ? { chatTemplate: "chatml" } : {};
    return { evalEvery: tenth, saveEvery: tenth, ...chats, ...given, model, ...this.#others() };
  }

  /** Leads to the field that keeps a run from its start. */
  focusFaulty(): void {
    const faulty = this.#faulty();
    const hiding = faulty?.closest("details");
    if (hiding) hiding.open = true;
    faulty?.focus();
  }

  #faulty(): HTMLInputElement | HTMLSelectElement | undefined {
    return [...this.#inputs.values()].find((input) => !input.checkValidity());
  }

  #make(field: Field): HTMLElement {
    const { key, label, hint, value, choices, number, empty } = field;
    const id = `setting-${key}`;
    const input =
      choices === undefined
        ? element("input", { id, type: number === undefined ? "text" : "number", value, title: hint })
        : element(
            "select",
            { id, title: hint },
            choices.map(([each, words]) => element("option", { value: each, selected: each === value }, [words])),
          );
    if (input instanceof HTMLInputElement) {
      input.placeholder = empty ?? "";
      input.required = empty === undefined;
      if (number !== undefined) {
        input.min = String(number.min);
        if (number.max !== undefined) input.max = String(number.max);
        input.step = String(number.step ?? "any");
      }
    }
    input.addEventListener("input", () => this.changed());
    this.#inputs.set(key, input);
    return element("label", { htmlFor: id }, [label, input]);
  }

  #value(key: string): string {
    return this.#inputs.get(key)!.value.trim();
  }

  #given({ key, number }: Field, isPreset: boolean): [string, string | number][] {
    const value = this.#value(key);
    if (value === "" || (key === "vocabSize" && !isPreset)) return [];
    if (key === "reloraEvery" && this.#value("method") !== "relora") return [];
    return [[key, number === undefined ? value : Number(value)]];
  }

  #others(): Readonly<Record<string, unknown>> {
    const text = byId<HTMLTextAreaElement>("others").value.trim();
    if (text === "") return {};
    try {
      const others: unknown = JSON.parse(text);
      if (typeof others === "object" && others !== null && !Array.isArray(others)) return { ...others };
    } catch {
      // told below
    }
    throw new Error('All others: must be a JSON object of settings by name, such as {"weightDecay": 0.1}.');
  }

  /** What is not as it is at first, for the address. */
  #differing(): URLSearchParams {
    const query = new URLSearchParams();
    if (this.#data.kind !== "wordnet") query.set("data", this.#data.kind);
    const { model, isPreset } = this.#model;
    // A folder is not on the machine of those who open the link.
    if (isPreset && model !== null && model !== FIRST_MODEL) query.set("model", model);
    for (const { key, value } of FIELDS) if (this.#value(key) !== value) query.set(key, this.#value(key));
    const others = byId<HTMLTextAreaElement>("others").value.trim();
    if (others !== "") query.set("others", others);
    return query;
  }

  /** Takes over what the address says. */
  #read(): void {
    const query = new URLSearchParams(location.hash.slice(1));
    const kind = query.get("data") ?? "wordnet";
    if (DATA_KINDS.includes(kind)) this.#data.choose(kind as DataKind);
    this.#model.choosePreset(query.get("model") ?? FIRST_MODEL);
    for (const { key, value } of FIELDS) this.#inputs.get(key)!.value = query.get(key) ?? value;
    byId<HTMLTextAreaElement>("others").value = query.get("others") ?? "";
    this.#onChange(this);
  }

  async #copyLink(): Promise<void> {
    const { textContent } = byId("link");
    try {
      await navigator.clipboard.writeText(location.href);
      byId("link").textContent = "Copied";
    } catch {
      byId("link").textContent = "Copy it from the address bar";
    }
    setTimeout(() => {
      byId("link").textContent = textContent;
    }, 2500);
  }
}
