import { childrenOf, type Node, type Statement } from "./nodes.js";

/**
 * Where the value of a name comes from when its scope is entered: it is set there (a parameter or loop variable),
 * looked up among the template's variables, taken from an outer scope, or not there yet.
 */
type Source =
  | { readonly from: "parameter" | "nothing" }
  | { readonly from: "variables"; readonly name: string }
  | { readonly from: "outer"; readonly slot: string };

/**
 * Names of one scope. Jinja2 decides before rendering what every name means, from all assignments of the scope and of
 * those around it; this is its own algorithm (`idtracking.py`), since templates depend on its finer points.
 */
export class Names {
  readonly level: number;
  readonly #parent: Names | undefined;
  readonly #slots: Map<string, string>;
  /** The source of each slot's first value. */
  readonly sources: Map<string, Source>;
  readonly #stored: Set<string>;

  constructor(parent?: Names, level: number = parent === undefined ? 0 : parent.level + 1, from?: Names) {
    this.#parent = parent;
    this.level = level;
    this.#slots = new Map(from === undefined ? [] : from.#slots);
    this.sources = new Map(from?.sources);
    this.#stored = new Set(from === undefined ? [] : from.#stored);
  }

  copy(): Names {
    return new Names(this.#parent, this.level, this);
  }

  /** The slot of a name here or further out. */
  find(name: string): string | undefined {
    return this.#slots.get(name) ?? this.#parent?.find(name);
  }

  slot(name: string): string {
    const slot = this.find(name);
    if (slot === undefined) throw new Error(`no scope knows ${name}`);
    return slot;
  }

  declareParameter(name: string): string {
    this.#stored.add(name);
    return this.#define(name, { from: "parameter" });
  }

  /** Slots of all names that are assigned here or further out. */
  assigned(): Map<string, string> {
    const slots = this.#parent?.assigned() ?? new Map<string, string>();
    for (const name of this.#stored) slots.set(name, this.slot(name));
    return slots;
  }

  /** Takes up the names that a node or a list of nodes uses. */
  visit(nodes: readonly Node[]): void {
    for (const node of nodes) this.#visit(node);
  }

  /** Takes up a target whose names the scope sets itself. */
  visitAsParameters(target: Node): void {
    if (target.kind === "name") this.declareParameter(target.name);
    else for (const child of childrenOf(target)) this.visitAsParameters(child);
  }

  #define(name: string, source: Source): string {
    const slot = `${this.level} ${name}`;
    this.#slots.set(name, slot);
    this.sources.set(slot, source);
    return slot;
  }

  #load(name: string): void {
    if (this.find(name) === undefined) this.#define(name, { from: "variables", name });
  }

  #store(name: string): void {
    this.#stored.add(name);
    if (this.#slots.has(name)) return;
    const slot = this.#parent?.find(name);
    this.#define(name, slot === undefined ? { from: "nothing" } : { from: "outer", slot });
  }

  #visit(node: Node): void {
    switch (node.kind) {
      case "name":
        if (node.use === "parameter") this.declareParameter(node.name);
        else if (node.use === "store") this.#store(node.name);
        else this.#load(node.name);
        return;
      case "attribute target":
        this.#load(node.name);
        return;
      case "if": {
        this.#visit(node.test);
        const branches: (readonly Statement[])[] = [node.body, node.elseIfs, node.otherwise];
        this.#merge(
          branches.map((branch) => {
            const names = this.copy();
            names.visit(branch);
            return names;
          }),
        );
        return;
      }
      case "macro":
        this.#store(node.name);
        return;
      case "set":
        this.visit([node.value, node.target]);
        return;
      case "for":
        this.#visit(node.iterable);
        return;
      case "call block":
        this.#visit(node.call);
        return;
      case "filter block":
        this.#visit(node.filter);
        return;
      case "with":
        this.visit(node.values);
        return;
      case "set block":
        this.#visit(node.target);
        return;
      case "scope":
      case "block":
      case "generation":
        return;
      default:
        this.visit(childrenOf(node));
    }
  }

  /** A name that only some branches assign is looked up first, so that the others find it. */
  #merge(branches: readonly Names[]): void {
    const stored = new Set(branches.flatMap((branch) => [...branch.#stored]).filter((name) => !this.#stored.has(name)));
    for (const branch of branches) {
      for (const [name, slot] of branch.#slots) this.#slots.set(name, slot);
      for (const [slot, source] of branch.sources) this.sources.set(slot, source);
      for (const name of branch.#stored) this.#stored.add(name);
    }
    for (const name of stored) {
      const outer = this.#parent?.find(name);
      this.sources.set(
        this.slot(name),
        outer === undefined ? { from: "variables", name } : { from: "outer", slot: outer },
      );
    }
  }
}

/** Those of the names that the nodes read before they assign them. */
export function readBeforeAssigned(nodes: readonly Node[], names: readonly string[]): Set<string> {
  const open = new Set(names);
  const read = new Set<string>();
  const visit = (node: Node): void => {
    if (node.kind === "block") return;
    if (node.kind === "name" && node.use === "load" && open.has(node.name)) read.add(node.name);
    else if (node.kind === "name") open.delete(node.name);
    for (const child of childrenOf(node)) visit(child);
  };
  for (const node of nodes) visit(node);
  return read;
}
