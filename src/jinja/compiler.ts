import { PythonError, typeError, valueError } from "../python/error.js";
import { LazyItems } from "../python/objects.js";
import {
  charactersOf,
  isText,
  isTruthy,
  itemsOf,
  iterableOf,
  str,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "../python/values.js";
import {
  callOf,
  compileArguments,
  compileExpression,
  compileFilter,
  type Evaluate,
  NOTHING_NAMED,
} from "./expressions.js";
import { type Frame, outward, Slots, slotReader } from "./frames.js";
import { Namespace } from "./globals.js";
import {
  type BlockNode,
  type CallBlockNode,
  descendants,
  type ForNode,
  type GenerationNode,
  type IfNode,
  type MacroNode,
  type Node,
  type OutputPart,
  type SignatureNodes,
  type Statement,
  type Target,
} from "./nodes.js";
import { BlockTable, type LookUp, Loop, Macro, Output, type Rendering, Scope } from "./rendering.js";
import { Names, readBeforeAssigned } from "./scopes.js";

// A tree becomes JavaScript functions, once, so that rendering many conversations does not walk it again.

/** A template ready to render. */
export type Program = (rendering: Rendering) => void;

/** A statement's word to the loop around it. */
type Signal = undefined | "break" | "continue";
type Run = (scope: Scope, out: Output) => Signal;
type Assign = (scope: Scope, value: Value) => void;

/** @throws SyntaxError for what only shows when the whole template is known. */
export function compile(nodes: readonly Statement[]): Program {
  return new Compiler().program(nodes);
}

class Compiler {
  /** Code of the blocks by name. */
  readonly #blocks = new Map<string, (rendering: Rendering, lookUp: LookUp, out: Output) => void>();

  program(nodes: readonly Statement[]): Program {
    const blocks = descendants(nodes).filter((node): node is BlockNode => node.kind === "block");
    for (const [index, { name, line }] of blocks.entries()) {
      const isTwice = blocks.findIndex((block) => block.name === name) < index;
      if (isTwice) throw new PythonError("SyntaxError", `block '${name}' defined twice`, line);
    }
    const run = this.#function(nodes, true, "self");
    for (const { name, body } of blocks) this.#blocks.set(name, this.#function(body, false, "self", "super"));
    return (rendering) => {
      const { assigned, variables } = rendering;
      run(rendering, (name) => (assigned.has(name) ? assigned : variables).get(name), rendering.output);
    };
  }

  /** The top of the template or a block, in which the special names mean blocks. */
  #function(
    body: readonly Statement[],
    isTop: boolean,
    ...special: readonly string[]
  ): (rendering: Rendering, lookUp: LookUp, out: Output) => void {
    const slots = new Slots();
    const names = new Names();
    const used = [...readBeforeAssigned(body, special)].map(
      (name) => [name, slots.own(names.declareParameter(name))] as const,
    );
    names.visit(body);
    const frame: Frame = { names, slots, isTop, isConditional: false, isInLoop: false };
    const enter = this.#enter(frame);
    const run = this.#statements(body, frame);
    return (rendering, lookUp, out) => {
      const scope = new Scope(rendering, lookUp);
      for (const [name, index] of used) scope.slots[index] = this.#special(name, rendering, lookUp);
      enter(scope);
      run(scope, out);
    };
  }

  #special(name: string, rendering: Rendering, lookUp: LookUp): Value {
    if (name === "super") return new Undefined("there is no parent block");
    const blocks = Array.from(this.#blocks, ([block, run]) => {
      const text = (): string => {
        const out = new Output();
        run(rendering, lookUp, out);
        return out.text;
      };
      return [block, text] as const;
    });
    return new BlockTable(new Map(blocks));
  }

  // Scopes

  /** Gives the names of a frame their first values. */
  #enter({ names, slots }: Frame): (scope: Scope) => void {
    const steps = Array.from(names.sources, ([slot, source]): ((scope: Scope) => void) | undefined => {
      const index = slots.own(slot);
      if (source.from === "parameter") return undefined;
      if (source.from === "variables") {
        const { name } = source;
        return (scope) => {
          scope.slots[index] = scope.lookUp(name);
        };
      }
      const read = source.from === "outer" ? slotReader(slots, source.slot) : () => undefined;
      return (scope) => {
        scope.slots[index] = read(scope);
      };
    }).filter((step) => step !== undefined);
    return (scope) => {
      for (const step of steps) step(scope);
    };
  }

  /** Empties the names of a frame, which ends without its function. */
  #leave({ names, slots }: Frame): (scope: Scope) => void {
    const indices = Array.from(names.sources.keys(), (slot) => slots.own(slot));
    return (scope) => {
      for (const index of indices) scope.slots[index] = undefined;
    };
  }

  #inner(frame: Frame): Frame {
    return { ...frame, names: new Names(frame.names), isTop: false, isConditional: false };
  }

  // Statements

  #statements(nodes: readonly Statement[], frame: Frame): Run {
    const steps = nodes.map((node) => this.#statement(node, frame));
    const [only] = steps;
    if (only !== undefined && steps.length === 1) return only;
    return (scope, out) => {
      for (const step of steps) {
        const signal = step(scope, out);
        if (signal !== undefined) return signal;
      }
      return undefined;
    };
  }

  #statement(node: Statement, frame: Frame): Run {
    switch (node.kind) {
      case "output":
        return this.#output(node.parts, frame);
      case "for":
        return this.#for(node, frame);
      case "if":
        return this.#if(node, frame);
      case "set":
        return this.#set(node.line, node.target, compileExpression(node.value, frame), frame);
      case "set block":
        return this.#setBlock(node, frame);
      case "macro":
        return this.#macro(node, frame);
      case "call block":
        return this.#callBlock(node, frame);
      case "generation":
        return this.#generation(node, frame);
      case "filter block":
        return this.#filterBlock(node, frame);
      case "with":
        return this.#with(node, frame);
      case "scope":
        return this.#scoped(this.#inner(frame), node.body, (inner) => this.#statements(node.body, inner));
      case "block":
        return this.#block(node, frame);
      case "break":
      case "continue": {
        if (!frame.isInLoop) throw new PythonError("SyntaxError", `'${node.kind}' outside loop`, node.line);
        const signal = node.kind;
        return () => signal;
      }
      case "load": {
        if (node.tag === "extends" && !frame.isTop) {
          throw new PythonError("SyntaxError", "cannot use extend from a non top-level scope", node.line);
        }
        return (scope) => {
          scope.rendering.line = node.line;
          throw typeError(`{% ${node.tag} %} takes another template, and a chat template stands alone`);
        };
      }
    }
  }

  #output(parts: readonly OutputPart[], frame: Frame): Run {
    const steps = parts.map(({ line, content }): Run => {
      if (typeof content === "string") {
        return (_, out) => {
          out.write(content);
          return undefined;
        };
      }
      const evaluate = compileExpression(content, frame);
      return (scope, out) => {
        scope.rendering.line = line;
        out.write(str(evaluate(scope)));
        return undefined;
      };
    });
    const [only] = steps;
    if (only !== undefined && steps.length === 1) return only;
    return (scope, out) => {
      for (const step of steps) step(scope, out);
      return undefined;
    };
  }

  #if(node: IfNode, frame: Frame): Run {
    const soft: Frame = { ...frame, isConditional: true };
    const branches = [node, ...node.elseIfs].map(({ line, test, body }) => {
      return { line, test: compileExpression(test, soft), run: this.#statements(body, soft) };
    });
    const otherwise = this.#statements(node.otherwise, soft);
    return (scope, out) => {
      for (const { line, test, run } of branches) {
        scope.rendering.line = line;
        if (isTruthy(test(scope))) return run(scope, out);
      }
      return otherwise(scope, out);
    };
  }

  #for(node: ForNode, frame: Frame): Run {
    const { line, target, isRecursive } = node;
    for (const child of descendants([node])) {
      if (child.kind === "name" && child.use === "store" && child.name === "loop") {
        throw new PythonError("SyntaxError", "Can't assign to special loop variable in for-loop target", line);
      }
    }
    const isScopedBlock = (child: Node): boolean => child.kind === "block" && child.isScoped;
    const usesLoop =
      isRecursive || readBeforeAssigned(node.body, ["loop"]).has("loop") || descendants([node]).some(isScopedBlock);
    const slots = isRecursive ? new Slots(frame.slots) : frame.slots;
    const inner: Frame = { ...this.#inner(frame), slots, isInLoop: true };
    const loopSlot = usesLoop ? slots.own(inner.names.declareParameter("loop")) : undefined;
    inner.names.visitAsParameters(target);
    inner.names.visit(node.body);
    const outside: Frame = { ...this.#inner(frame), slots, isInLoop: !isRecursive && frame.isInLoop };
    const chosen = this.#chosen(node, frame);
    const iterable = compileExpression(node.iterable, frame);
    const enter = this.#enter(inner);
    const assign = this.#target(target, inner);
    const body = this.#statements(node.body, inner);
    const leave = this.#leave(inner);
    const otherwise = this.#scoped(outside, node.otherwise, (inside) => this.#statements(node.otherwise, inside));
    const hasOtherwise = node.otherwise.length > 0;

    /** True if no round came to its end, in which case `else` runs. */
    const rounds = (scope: Scope, out: Output, next: () => Value | undefined): boolean => {
      let isEmpty = true;
      for (let value = next(); value !== undefined; value = next()) {
        scope.rendering.line = line;
        assign(scope, value);
        enter(scope);
        const signal = body(scope, out);
        if (signal === "break") break;
        if (signal === undefined) isEmpty = false;
      }
      leave(scope);
      return isEmpty;
    };
    const run = (scope: Scope, out: Output, items: Value, depth: number, recurse?: Recurse): Signal => {
      const values = chosen(outward(scope, isRecursive ? 1 : 0), items);
      let next: () => Value | undefined;
      if (loopSlot === undefined) {
        const iterator = iterableOf(values)[Symbol.iterator]();
        next = () => iterator.next().value;
      } else {
        const loop = new Loop(values, depth, recurse);
        next = () => {
          scope.slots[loopSlot] = loop;
          return loop.next();
        };
      }
      if (!rounds(scope, out, next) || !hasOtherwise) return undefined;
      return otherwise(scope, out);
    };
    if (!isRecursive) {
      return (scope, out) => {
        scope.rendering.line = line;
        return run(scope, out, iterable(scope), 0);
      };
    }
    return (scope, out) => {
      scope.rendering.line = line;
      const recurse = (items: Value, depth: number): string => {
        const text = new Output();
        run(new Scope(scope.rendering, scope.lookUp, scope), text, items, depth, recurse);
        return text.text;
      };
      out.write(recurse(iterable(scope), 0));
      return undefined;
    };
  }

  /** The items for which the test behind `if` of a loop holds. They are asked for one by one. */
  #chosen({ target, test: condition }: ForNode, frame: Frame): (scope: Scope, items: Value) => Value {
    if (condition === undefined) return (_, items) => items;
    const inner: Frame = { ...this.#inner(frame), slots: new Slots(frame.slots) };
    inner.names.visitAsParameters(target);
    inner.names.visit([condition]);
    const enter = this.#enter(inner);
    const assign = this.#target(target, inner);
    const test = compileExpression(condition, inner);
    const kept = (value: Value): Value => (target.kind === "tuple" ? new Tuple(itemsOf(value)) : value);
    return (outer, items) => {
      const choose = function* (): Generator<Value> {
        const scope = new Scope(outer.rendering, outer.lookUp, outer);
        enter(scope);
        for (const value of iterableOf(items)) {
          const one = kept(value);
          assign(scope, one);
          if (isTruthy(test(scope))) yield one;
        }
      };
      return new LazyItems(choose());
    };
  }

  #set(line: number, target: Target, value: Evaluate, frame: Frame): Run {
    const assign = this.#target(target, frame);
    const check = this.#namespaceCheck(target, frame);
    return (scope) => {
      scope.rendering.line = line;
      check(scope);
      assign(scope, value(scope));
      return undefined;
    };
  }

  /** Attributes can be assigned to namespaces alone, which is checked before the value is computed. */
  #namespaceCheck(target: Target, frame: Frame): (scope: Scope) => void {
    const reads = descendants([target]).flatMap((node) =>
      node.kind === "attribute target" ? [slotReader(frame.slots, frame.names.slot(node.name))] : [],
    );
    return (scope) => {
      for (const read of reads) {
        if (!(read(scope) instanceof Namespace)) {
          throw new PythonError("RuntimeError", "cannot assign attribute on non-namespace object");
        }
      }
    };
  }

  /** Compiles statements into a frame of their own: the names that `nodes` assign end with them. */
  #scoped(inner: Frame, nodes: readonly Node[], compile: (inner: Frame) => Run): Run {
    inner.names.visit(nodes);
    const enter = this.#enter(inner);
    const run = compile(inner);
    const leave = this.#leave(inner);
    return (scope, out) => {
      enter(scope);
      const signal = run(scope, out);
      leave(scope);
      return signal;
    };
  }

  /** Runs statements and hands over their text, unless a `break` or `continue` cuts it off. */
  #captured(
    body: readonly Statement[],
    line: number,
    inner: Frame,
    use: (scope: Scope, text: string, out: Output) => void,
  ): Run {
    const run = this.#statements(body, inner);
    return (scope, out) => {
      const captured = new Output();
      const signal = run(scope, captured);
      if (signal !== undefined) return signal;
      scope.rendering.line = line;
      use(scope, captured.text, out);
      return undefined;
    };
  }

  #filterBlock({ body, filter, line }: Extract<Statement, { kind: "filter block" }>, frame: Frame): Run {
    return this.#scoped(this.#inner(frame), [...body, filter], (inner) => {
      const apply = compileFilter(filter, inner);
      return this.#captured(body, line, inner, (scope, text, out) => out.write(printable(apply(scope, text))));
    });
  }

  #setBlock({ body, filter, target, line }: Extract<Statement, { kind: "set block" }>, frame: Frame): Run {
    const assign = this.#target(target, frame);
    return this.#scoped(this.#inner(frame), body, (inner) => {
      const apply = filter === undefined ? undefined : compileFilter(filter, inner);
      return this.#captured(body, line, inner, (scope, text) => {
        assign(scope, apply === undefined ? text : apply(scope, text));
      });
    });
  }

  #with({ targets, values, body, line }: Extract<Statement, { kind: "with" }>, frame: Frame): Run {
    const given = values.map((value) => compileExpression(value, frame));
    return this.#scoped(this.#inner(frame), [...targets, ...body], (inner) => {
      const assigns = targets.map((target) => this.#target(target, inner));
      const run = this.#statements(body, inner);
      return (scope, out) => {
        scope.rendering.line = line;
        for (const [index, assign] of assigns.entries()) assign(scope, given[index]!(scope));
        return run(scope, out);
      };
    });
  }

  #macro(node: MacroNode, frame: Frame): Run {
    const make = this.#macroMaker(node.name, node.signature, node.body, node.line, frame);
    const assign = this.#target({ kind: "name", name: node.name, use: "store" }, frame);
    return (scope) => {
      assign(scope, make(scope));
      return undefined;
    };
  }

  /** Makes the macro where its definition runs. */
  #macroMaker(
    name: string | undefined,
    { parameters, defaults }: SignatureNodes,
    body: readonly Statement[],
    line: number,
    frame: Frame,
  ): (scope: Scope) => Macro {
    const inner: Frame = { ...this.#inner(frame), slots: new Slots(frame.slots), isInLoop: false };
    const nodes: readonly Node[] = [...parameters, ...defaults, ...body];
    inner.names.visit(nodes);
    const given = parameters.map((parameter) => parameter.name);
    const used = readBeforeAssigned(body, ["caller", "kwargs", "varargs"]);
    const firstDefault = parameters.length - defaults.length;
    if (used.has("caller") && given.includes("caller") && given.indexOf("caller") < firstDefault) {
      const message =
        'When defining macros or call blocks the special "caller" argument must be omitted or be given a default.';
      throw new PythonError("SyntaxError", message, line);
    }
    const extra = ["caller", "kwargs", "varargs"].filter((one) => used.has(one) && !given.includes(one));
    for (const one of extra) inner.names.declareParameter(one);
    inner.names.visit(nodes);
    const indices = [...given, ...extra].map((one) => inner.slots.own(inner.names.slot(one)));
    const enter = this.#enter(inner);
    const fallbacks = given.map((one, index): Evaluate => {
      const fallback = defaults[index - firstDefault];
      if (index >= firstDefault && fallback !== undefined) return compileExpression(fallback, inner);
      return () => new Undefined(`parameter '${one}' was not provided`);
    });
    const run = this.#statements(body, inner);
    return (outer) =>
      new Macro({
        name,
        parameters: given,
        usesCaller: used.has("caller"),
        usesNamed: extra.includes("kwargs"),
        usesMore: extra.includes("varargs"),
        run: (values) => {
          const scope = new Scope(outer.rendering, outer.lookUp, outer);
          for (const [position, index] of indices.entries()) scope.slots[index] = values[position];
          enter(scope);
          for (const [position, fallback] of fallbacks.entries()) {
            const index = indices[position]!;
            if (scope.slots[index] === undefined) scope.slots[index] = fallback(scope);
          }
          const out = new Output();
          run(scope, out);
          return out.text;
        },
      });
  }

  #callBlock({ call, signature, body, line }: CallBlockNode, frame: Frame): Run {
    const make = this.#macroMaker(undefined, signature, body, line, frame);
    const callee = compileExpression(call.callee, frame);
    const given = compileArguments(call.given, frame);
    return (scope, out) => {
      scope.rendering.line = line;
      const caller = make(scope);
      const called = callee(scope);
      const { positional, named } = given(scope);
      out.write(printable(callOf(called, { positional, named: new Map([...named, ["caller", caller]]) })));
      return undefined;
    };
  }

  /** transformers' own tag: the place of its text in the rendering is remembered. */
  #generation({ body, line }: GenerationNode, frame: Frame): Run {
    const make = this.#macroMaker(undefined, { parameters: [], defaults: [] }, body, line, frame);
    return (scope, out) => {
      const { rendering } = scope;
      const text = str(make(scope).call({ positional: [], named: NOTHING_NAMED }));
      rendering.generations.push({ start: rendering.output.text.length, text });
      out.write(text);
      return undefined;
    };
  }

  #block({ name, line, isScoped, isRequired }: BlockNode, frame: Frame): Run {
    const locals = isScoped
      ? Array.from(frame.names.assigned(), ([local, slot]) => [local, slotReader(frame.slots, slot)] as const)
      : [];
    return (scope, out) => {
      if (isRequired) {
        scope.rendering.line = line;
        throw new PythonError("RuntimeError", `Required block '${name}' not found`);
      }
      const seen = new Map<string, Value>();
      for (const [local, read] of locals) {
        const value = read(scope);
        if (value !== undefined) seen.set(local, value);
      }
      this.#blocks.get(name)!(
        scope.rendering,
        (wanted) => (seen.has(wanted) ? seen.get(wanted) : scope.lookUp(wanted)),
        out,
      );
      return undefined;
    };
  }

  // Targets

  #target(target: Target, frame: Frame): Assign {
    if (target.kind === "name") {
      const { name } = target;
      const [depth, index] = frame.slots.find(frame.names.slot(name));
      if (!frame.isTop) {
        return (scope, value) => {
          outward(scope, depth).slots[index] = value;
        };
      }
      return (scope, value) => {
        outward(scope, depth).slots[index] = value;
        scope.rendering.assigned.set(name, value);
      };
    }
    if (target.kind === "attribute target") {
      const read = slotReader(frame.slots, frame.names.slot(target.name));
      return (scope, value) => {
        const namespace = read(scope);
        if (namespace instanceof Namespace) namespace.assign(target.attribute, value);
      };
    }
    if (target.kind !== "tuple") throw new Error(`a ${target.kind} cannot be assigned`);
    const targets = target.items.map((one) => this.#target(one, frame));
    return (scope, value) => {
      const values = itemsOf(value);
      if (values.length < targets.length) {
        throw valueError(`not enough values to unpack (expected ${targets.length}, got ${values.length})`);
      }
      if (values.length > targets.length) throw valueError(`too many values to unpack (expected ${targets.length})`);
      for (const [index, assign] of targets.entries()) assign(scope, values[index]!);
    };
  }
}

type Recurse = (items: Value, depth: number) => Value;

/** Blocks print texts alone. */
function printable(value: Value): string {
  if (isText(value)) return charactersOf(value);
  throw typeError(`sequence item: expected str instance, ${typeName(value)} found`);
}
