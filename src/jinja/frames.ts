import type { Value } from "../python/values.js";
import type { Scope } from "./rendering.js";
import type { Names } from "./scopes.js";

// Where names are kept: known when a template is compiled, so that rendering looks nothing up by name.

/** Slots of one function of the template: its top, a macro, a recursive loop, the test of a loop or a block. */
export class Slots {
  readonly #outer: Slots | undefined;
  readonly #indices = new Map<string, number>();

  constructor(outer?: Slots) {
    this.#outer = outer;
  }

  /** Index of a slot, which is made if there is none. */
  own(slot: string): number {
    const index = this.#indices.get(slot) ?? this.#indices.size;
    this.#indices.set(slot, index);
    return index;
  }

  find(slot: string): readonly [depth: number, index: number] {
    const index = this.#indices.get(slot);
    if (index !== undefined) return [0, index];
    if (this.#outer === undefined) throw new Error(`slot ${slot} is in no scope`);
    const [depth, further] = this.#outer.find(slot);
    return [depth + 1, further];
  }
}

/** Where a statement stands. */
export interface Frame {
  readonly names: Names;
  readonly slots: Slots;
  /** At the top of the template, or in an `if` there: what is assigned is seen by blocks. */
  readonly isTop: boolean;
  /** In an `if`: a filter that does not exist fails when it runs, not before. */
  readonly isConditional: boolean;
  readonly isInLoop: boolean;
}

/** Reads a slot, which may belong to a function further out. */
export function slotReader(slots: Slots, slot: string): (scope: Scope) => Value | undefined {
  const [depth, index] = slots.find(slot);
  if (depth === 0) return (scope) => scope.slots[index];
  return (scope) => outward(scope, depth).slots[index];
}

/** The scope that stands so many functions further out. */
export function outward(scope: Scope, depth: number): Scope {
  let found = scope;
  for (let i = 0; i < depth; i++) found = found.outer!;
  return found;
}
