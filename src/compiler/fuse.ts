import { constantValue } from "../ops/constant.js";
import { sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** alpha · op(a) · op(b) + c. For matrices, devices compute it in one kernel. */
export interface Product {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
  /** Addend of the product's shape. Only for two-dimensional products. */
  readonly c: Tensor | undefined;
}

export interface Fusion {
  /** The last tensor of each group that one kernel computes, with what the kernel computes. */
  readonly products: ReadonlyMap<Tensor, Product>;
  /** The other tensors of these groups: they need not be computed. */
  readonly absorbed: ReadonlySet<Tensor>;
}

/**
 * Finds products whose scaling by a constant or whose addition to another tensor can ride along.
 * @param nodes the graph in creation order. @param outputs tensors that must exist by themselves.
 */
export function fuseProducts(nodes: readonly Tensor[], outputs: Iterable<Tensor>): Fusion {
  const uses = countUses(nodes, outputs);
  const products = new Map<Tensor, Product>();
  const absorbed = new Set<Tensor>();
  /** The product that computes `node`, if nothing else needs `node`. */
  const takeable = (node: Tensor): Product | undefined => (uses.get(node) === 1 ? products.get(node) : undefined);
  const replace = (node: Tensor, part: Tensor, product: Product) => {
    products.delete(part);
    absorbed.add(part);
    products.set(node, product);
  };
  for (const node of nodes) {
    const [left, right] = node.inputs as [Tensor, Tensor];
    if (node.op?.name === "matmul") {
      const { transposeA, transposeB } = node.attributes as { transposeA: boolean; transposeB: boolean };
      products.set(node, { a: left, b: right, transposeA, transposeB, alpha: 1, c: undefined });
    } else if (node.op?.name === "mul") {
      for (const [x, factor] of [
        [left, constantValue(right)],
        [right, constantValue(left)],
      ] as const) {
        const product = factor === undefined ? undefined : takeable(x);
        if (product === undefined || product.c !== undefined || !sameShape(x.shape, node.shape)) continue;
        replace(node, x, { ...product, alpha: product.alpha * factor! });
        break;
      }
    } else if (node.op?.name === "add" && node.rank === 2 && sameShape(left.shape, right.shape)) {
      // Of two products the later one takes the earlier as its addend.
      const [earlier, later] = left.id < right.id ? [left, right] : [right, left];
      for (const [x, c] of [
        [later, earlier],
        [earlier, later],
      ] as const) {
        const product = takeable(x);
        if (product === undefined || product.c !== undefined) continue;
        replace(node, x, { ...product, c });
        break;
      }
    }
  }
  return { products, absorbed };
}

function countUses(nodes: readonly Tensor[], outputs: Iterable<Tensor>): Map<Tensor, number> {
  const uses = new Map<Tensor, number>();
  const use = (node: Tensor) => uses.set(node, (uses.get(node) ?? 0) + 1);
  for (const node of nodes) {
    node.inputs.forEach(use);
    node.companions.forEach(use);
  }
  for (const output of outputs) use(output);
  return uses;
}
