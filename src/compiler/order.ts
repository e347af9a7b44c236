/** What the order depends on: which values a node reads and makes. "" is an input left out. */
export interface OrderedNode {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * The order in which ONNX Runtime executes the nodes of a file: node indices, first to run first. It searches
 * depth-first from the nodes that nobody reads back to their producers; among several candidates it enters the one
 * latest in the file first, and a node runs when all its producers have.
 */
export function executionOrder(nodes: readonly OrderedNode[]): number[] {
  const producers = producersOf(nodes);
  const isRead = new Array<boolean>(nodes.length).fill(false);
  for (const indices of producers) for (const index of indices) isRead[index] = true;

  const order: number[] = [];
  const entered = new Array<boolean>(nodes.length).fill(false);
  // A stack of our own, because training graphs are deeper than the call stack. ~index means "producers are done".
  const stack: number[] = nodes.map((_, index) => index).filter((index) => !isRead[index]);
  for (let index = stack.pop(); index !== undefined; index = stack.pop()) {
    if (index < 0) {
      order.push(~index);
    } else if (!entered[index]) {
      entered[index] = true;
      stack.push(~index);
      for (const producer of producers[index]!) if (!entered[producer]) stack.push(producer);
    }
  }
  return order;
}

/** For each node the distinct nodes that it reads from, in ascending order. */
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
    return [...indices].sort((a, b) => a - b);
  });
}
