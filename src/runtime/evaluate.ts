import { bytesPerElement, type HostTensor } from "../tensor/dtype.js";
import { reachable } from "../tensor/graph.js";
import { heldValues, placeholder, registerEvaluator, Tensor } from "../tensor/tensor.js";
import { Program } from "./program.js";

// Eager use repeats a few small graphs; each kept program holds a session.
const KEPT_PROGRAMS = 32;
/** A session keeps the memory of its values, so programs with larger results than this, in bytes, are not kept. */
export const LARGEST_KEPT_RESULTS: number = 2 ** 22;
const programs = new Map<string, Program>();
let lastTurn: Promise<unknown> = Promise.resolve();

/**
 * Computes tensors on the CPU. Graphs of the same structure share one compiled program, whatever their data: a loop
 * that builds the same expression again compiles it once. Concurrent calls are served one after the other.
 */
export function evaluate(tensors: readonly Tensor[]): Promise<HostTensor[]> {
  return inTurn(() => compute(tensors));
}

/** Releases the programs that `evaluate` keeps. */
export function clearEvaluationCache(): Promise<void> {
  return inTurn(() => releaseOldest(0));
}

registerEvaluator(evaluate);

/** A run blocks the thread anyway, and two calls must neither share a running session nor release the other's. */
function inTurn<T>(action: () => Promise<T>): Promise<T> {
  const turn = lastTurn.then(action);
  lastTurn = turn.catch(() => undefined);
  return turn;
}

async function compute(tensors: readonly Tensor[]): Promise<HostTensor[]> {
  const graph = reachable(tensors);
  const arrays = graph.flatMap(({ source }) => (source?.kind === "data" ? [heldValues(source)] : []));
  const key = structureOf(graph, tensors);
  let program = programs.get(key);
  if (program === undefined) {
    program = await compileDetached(graph, tensors);
  } else {
    programs.delete(key); // put back below as the most recently used
  }
  const keep = tensors.reduce((sum, { dtype, size }) => sum + bytesPerElement(dtype) * size, 0) <= LARGEST_KEPT_RESULTS;
  if (keep) programs.set(key, program);
  await releaseOldest(KEPT_PROGRAMS);
  const feeds = Object.fromEntries(arrays.map((array, i) => [`data${i}`, array]));
  try {
    const results = await program.run(feeds);
    return tensors.map((_, i) => results[`output${i}`]!);
  } finally {
    if (!keep) await program.release();
  }
}

/** The graph as text without its data: graphs with equal texts compute the same function of their leaves. */
function structureOf(graph: readonly Tensor[], outputs: readonly Tensor[]): string {
  const index = new Map(graph.map((node, i) => [node, i]));
  const nodes = graph.map(({ op, source, attributes, inputs, shape, dtype }) => [
    op?.name ?? (source?.kind === "placeholder" ? source.name : ""),
    attributes,
    inputs.map((input) => index.get(input)),
    shape,
    dtype,
  ]);
  return JSON.stringify([nodes, outputs.map((output) => index.get(output))], writeNumber);
}

/** JSON has neither infinities nor NaN nor a negative zero. */
function writeNumber(_key: string, value: unknown): unknown {
  if (typeof value !== "number" || (Number.isFinite(value) && !Object.is(value, -0))) return value;
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Compiles a copy of the graph whose data leaves are placeholders, so that the program outlives the tensors. */
function compileDetached(graph: readonly Tensor[], outputs: readonly Tensor[]): Promise<Program> {
  const copies = new Map<Tensor, Tensor>();
  let leaf = 0;
  for (const node of graph) {
    if (node.source?.kind === "data") {
      copies.set(node, placeholder(`data${leaf++}`, node.shape, node.dtype));
    } else if (node.op === undefined) {
      copies.set(node, node);
    } else {
      const inputs = node.inputs.map((input) => copies.get(input)!);
      copies.set(node, new Tensor(node, { op: node.op, inputs, attributes: node.attributes }));
    }
  }
  const named = Object.fromEntries(outputs.map((output, i) => [`output${i}`, copies.get(output)!]));
  return Program.compile(named, { device: "cpu", threads: 2 });
}

async function releaseOldest(kept: number): Promise<void> {
  for (const [key, program] of programs) {
    if (programs.size <= kept) return;
    programs.delete(key);
    await program.release();
  }
}
