import { linearLayers, type TargetedLinear } from "../adapters/inject.js";
import { FILLED_TEXT, OBJECT, requireEach } from "../base/arguments.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { suggest } from "../base/suggest.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import type { CausalLM } from "../models/causal-lm.js";
import { loadModel } from "./folder-source.js";
import { assignSome, diskParameters } from "./model-source.js";
import { openAdapterOn } from "./open-adapter.js";
import type { PeftEffect } from "./peft-effect.js";
import { applyUpdates } from "./updated-linear.js";
import { combineEffects } from "./weighted-adapters.js";

/** Several PEFT adapters for one base model in memory, of which one or none computes. */
export class AdapterSet {
  /**
   * The base with the active adapter. Logits and generators built from it keep the adapter that was active then.
   */
  readonly model: CausalLM;
  readonly #folder: string;
  readonly #linears: ReadonlyMap<string, TargetedLinear>;
  readonly #effects: Map<string, PeftEffect> = new Map();
  /** The base's values of the parameters that the active adapter replaced. */
  readonly #replaced: Map<string, Float32Array> = new Map();
  #active: string | null = null;

  private constructor(model: CausalLM, folder: string) {
    this.model = model;
    this.#folder = folder;
    this.#linears = linearLayers(model);
  }

  /**
   * Loads the base, a folder or a model of the hub, without an adapter. @throws CheckpointError as `loadTarget`.
   */
  static async open(base: string, events?: DownloadEvents): Promise<AdapterSet> {
    requireEach("AdapterSet.open", FILLED_TEXT, { base });
    const folder = await modelFolder(base, events);
    return new AdapterSet(await loadModel(folder), folder);
  }

  get names(): string[] {
    return [...this.#effects.keys()];
  }

  /** The name of the adapter that computes; null if the base computes alone. */
  get active(): string | null {
    return this.#active;
  }

  /**
   * Reads a PEFT adapter, a folder or of the hub. @throws CheckpointError unless it fits the base; ConfigError for a
   * name that is taken or empty.
   */
  async load(name: string, adapter: string, events?: DownloadEvents): Promise<void> {
    requireEach("load", FILLED_TEXT, { name, adapter });
    this.#requireNew(name);
    const { effect } = await openAdapterOn(this.#folder, await modelFolder(adapter, events), events);
    if (effect.unties) {
      throw new CheckpointError(
        `${adapter}: makes the embedding table and the output projection differ, which this base ties; ` +
          "use it by itself, or merge it",
      );
    }
    this.#effects.set(name, effect);
  }

  /**
   * Activates the adapter of this name in place of the present one; null activates none. @throws ConfigError for an
   * unknown name.
   */
  async activate(name: string | null): Promise<void> {
    const effect = name === null ? null : this.#get("activate", name);
    for (const { slot, linear } of this.#linears.values()) slot.replace(linear);
    const parameters = diskParameters(this.model);
    for (const [parameter, values] of this.#replaced) parameters.get(parameter)!.assign(values);
    this.#replaced.clear();
    this.#active = name;
    if (effect === null) return;
    for (const [parameter, tensor] of effect.replaced) {
      this.#replaced.set(parameter, parameters.get(parameter)!.values.slice());
      const { dtype, shape } = tensor;
      assignSome(
        this.model,
        new Map([[parameter, { dtype, shape, data: await tensor.read() }]]),
        `the adapter ${name}`,
      );
    }
    await applyUpdates(this.model, effect.updates);
  }

  /**
   * Combines several adapters into a new one, as PEFT's add_weighted_adapter does. `cat`: ΔW = Σ weight · ΔW of each,
   * with the sum of their ranks. `linear`: A and B are each Σ √(weight · scaling) times that of each, which adds
   * products between adapters; their ranks must be equal. A layer combines the adapters that have it.
   * @throws ConfigError for unknown names, other ranks, and adapters with more than low-rank updates.
   */
  combine(name: string, weights: Readonly<Record<string, number>>, kind: "linear" | "cat"): void {
    requireEach("combine", FILLED_TEXT, { name });
    this.#requireNew(name);
    if (kind !== "linear" && kind !== "cat") {
      throw new ConfigError(`combine: kind must be linear or cat, got ${shownValue(kind)}`);
    }
    requireEach("combine", OBJECT, { weights });
    const sources = Object.entries(weights).map(([source, weight]) => {
      return { name: source, effect: this.#get("combine", source), weight };
    });
    this.#effects.set(name, combineEffects(sources, kind));
  }

  /** Forgets an adapter. @throws ConfigError for an unknown name and for the active adapter. */
  remove(name: string): void {
    this.#get("remove", name);
    if (name === this.#active) throw new ConfigError(`${name} is active; activate another adapter or null first`);
    this.#effects.delete(name);
  }

  #get(call: string, name: string): PeftEffect {
    requireEach(call, FILLED_TEXT, { name });
    const effect = this.#effects.get(name);
    if (effect !== undefined) return effect;
    const nearest = suggest(name, this.names);
    const hint = nearest === undefined ? `there are ${this.names.join(", ") || "none"}` : `did you mean "${nearest}"?`;
    throw new ConfigError(`there is no adapter ${name}; ${hint}`);
  }

  #requireNew(name: string): void {
    if (this.#effects.has(name)) throw new ConfigError(`there already is an adapter ${name}; remove it first`);
  }
}
