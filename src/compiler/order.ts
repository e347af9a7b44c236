import { largest } from "../base/numbers.js";
/** The values that a node reads and makes, on which the order depends. "" is an input or output left out. */
export interface OrderedNode {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * The order in which ONNX Runtime executes the nodes of a file: node indices, first to run first. It searches
 * depth-first from the nodes that nobody reads back to their producers. Among several candidates it enters the one
 * latest in the file first, and a node runs when all its producers have. The file need not be sorted topologically.
 */
export function executionOrder(nodes: readonly OrderedNode[]): number[] {
  return depthFirst(producersOf(nodes), (candidates) => largest(candidates)).ran;
}

/**
 * The order in which to write `nodes` to the file so that ONNX Runtime runs them in the `desired` order (indices into
 * `nodes`, topologically sorted; by default as listed). If no depth-first search can give that order, the result is
 * close to it: a node that nothing needs yet waits until a node that reads it is entered.
 */
export function orderForExecution(
  nodes: readonly OrderedNode[],
  desired: readonly number[] = nodes.map((_, index) => index),
): number[] {
  const producers = producersOf(nodes);
  const isUnread = new Array<boolean>(nodes.length).fill(true);
  for (const index of producers.flat()) isUnread[index] = false;
  const position = new Int32Array(nodes.length);
  desired.forEach((index, at) => {
    position[index] = at;
  });
  const countNeeded = neededCounter(producers);
  /** The first node that has not run, in the desired order: those before it are not looked at again. */
  let firstDue = 0;
  const { entered } = depthFirst(producers, (candidates, hasRun) => {
    while (hasRun[desired[firstDue]!]) firstDue++;
    // Entering a node runs everything it needs, which delays whatever is due before it and not needed by it.
    let best = -1;
    let leastDelayed = Infinity;
    let at = firstDue;
    let due = 0;
    let surelyDelayed = 0;
    for (const candidate of candidates.sort((a, b) => position[a]! - position[b]!)) {
      if (leastDelayed === 0 || surelyDelayed >= leastDelayed) break;
      for (; at <= position[candidate]!; at++) if (!hasRun[desired[at]!]) due++;
      const delayed = due - countNeeded(candidate, hasRun);
      if (delayed < leastDelayed) {
        best = candidate;
        leastDelayed = delayed;
      }
      // Nothing needs a node that is not read, so all candidates behind it delay it.
      if (isUnread[candidate]) surelyDelayed++;
    }
    return best;
  });
  // At each choice, the candidate entered first is the one chosen here, so this one priority serves all choices.
  return entered.reverse();
}

/**
 * Peak number of bytes alive when `nodes` run in `order`. A value lives from its node to its last reader, graph
 * `outputs` to the end. Only values made by nodes count, so neither inputs nor initializers; values without an entry in
 * `sizes` count as 0. An upper bound, because ONNX Runtime also lets some operators overwrite their input.
 */
export function peakBytes(
  nodes: readonly OrderedNode[],
  order: readonly number[],
  sizes: ReadonlyMap<string, number>,
  outputs: readonly string[] = [],
): number {
  const readsLeft = new Map<string, number>();
  const count = (name: string): void => void readsLeft.set(name, (readsLeft.get(name) ?? 0) + 1);
  for (const node of nodes) node.inputs.forEach(count);
  outputs.forEach(count);

  const made = new Set<string>();
  let live = 0;
  let peak = 0;
  const freeIfUnread = (name: string): void => {
    if (readsLeft.get(name)) return;
    if (made.delete(name)) live -= sizes.get(name) ?? 0;
  };
  for (const index of order) {
    const node = nodes[index]!;
    for (const name of node.outputs) {
      made.add(name);
      live += sizes.get(name) ?? 0;
    }
    peak = Math.max(peak, live);
    for (const name of node.inputs) {
      readsLeft.set(name, readsLeft.get(name)! - 1);
      freeIfUnread(name);
    }
    node.outputs.forEach(freeIfUnread);
  }
  return peak;
}

/** For each node, the distinct nodes that it reads from. */
function producersOf(nodes: readonly OrderedNode[]): number[][] {
  const producerOf = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const output of node.outputs) if (output !== "") producerOf.set(output, index);
  });
  return nodes.map((node) => {
    const indices = new Set<number>();
    for (const input of node.inputs) {
      const index = producerOf.get(input);
      if (index !== undefined) indices.add(index);
    }
    return [...indices];
  });
}

/**
 * Searches from the nodes that nobody reads to their producers. `choose` returns which candidate to enter next, of
 * several that are not entered yet, and may reorder them.
 */
function depthFirst(
  producers: readonly (readonly number[])[],
  choose: (candidates: number[], hasRun: readonly boolean[]) => number,
): { entered: number[]; ran: number[] } {
  const leaves = new Set(producers.keys());
  for (const indices of producers) for (const index of indices) leaves.delete(index);
  const wasEntered = new Array<boolean>(producers.length).fill(false);
  const hasRun = new Array<boolean>(producers.length).fill(false);
  const next = (among: Iterable<number>): number | undefined => {
    const candidates = [...among].filter((index) => !wasEntered[index]);
    return candidates.length > 1 ? choose(candidates, hasRun) : candidates[0];
  };

  const entered: number[] = [];
  const ran: number[] = [];
  // An explicit stack, because training graphs are deeper than the call stack.
  const stack: number[] = [];
  for (;;) {
    const top = stack.at(-1);
    const index = next(top === undefined ? leaves : producers[top]!);
    if (index !== undefined) {
      wasEntered[index] = true;
      entered.push(index);
      stack.push(index);
    } else if (top !== undefined) {
      stack.pop();
      hasRun[top] = true;
      ran.push(top);
    } else {
      return { entered, ran };
    }
  }
}

/** Returns a function that counts the nodes that must still run before a given one has, itself included. */
function neededCounter(
  producers: readonly (readonly number[])[],
): (index: number, hasRun: readonly boolean[]) => number {
  const countedIn = new Uint32Array(producers.length);
  let call = 0;
  return (index, hasRun) => {
    call++;
    countedIn[index] = call;
    const needed = [index];
    for (const node of needed) {
      for (const producer of producers[node]!) {
        if (hasRun[producer] || countedIn[producer] === call) continue;
        countedIn[producer] = call;
        needed.push(producer);
      }
    }
    return needed.length;
  };
}
