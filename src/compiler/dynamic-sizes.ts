import type { Shape } from "../tensor/shape.js";

/**
 * Sizes that a run decides, for graphs whose shapes are numbers: while a graph is built, a number that occurs nowhere else stands
 * in for each of them, and the compiler writes what it computes of that number as a value that the model computes of the size.
 */
export class DynamicSizes {
  /** By name. */
  readonly standIns: ReadonlyMap<string, number>;

  /** @param standIns by name: pairwise coprime, and none of them a factor of any size that is fixed. */
  constructor(standIns: Readonly<Record<string, number>>) {
    this.standIns = new Map(Object.entries(standIns));
  }

  /** A size as a product of a number and of sizes by name. */
  factor(size: number): { readonly fixed: number; readonly names: readonly string[] } {
    let fixed = size;
    const names: string[] = [];
    for (const [name, standIn] of this.standIns) {
      for (; fixed !== 0 && fixed % standIn === 0; fixed /= standIn) names.push(name);
    }
    return { fixed, names };
  }

  /** Whether a run decides this size, in part at least. */
  has(size: number): boolean {
    return this.factor(size).names.length > 0;
  }

  /** The shape in a run in which the sizes are these. */
  resolve(shape: Shape, sizes: Readonly<Record<string, number>>): number[] {
    return shape.map((size) => {
      const { fixed, names } = this.factor(size);
      return names.reduce((product, name) => product * sizes[name]!, fixed);
    });
  }

  /** A shape as files declare it: a size that a run decides by its name. */
  declare(shape: Shape): (number | string)[] {
    return shape.map((size) => {
      const { fixed, names } = this.factor(size);
      return names.length === 0 ? size : [...(fixed === 1 ? [] : [fixed]), ...names].join(" * ");
    });
  }
}

/** The smallest prime from `least` on that `accepts` takes. */
export function primeFrom(least: number, accepts: (prime: number) => boolean): number {
  for (let candidate = least; ; candidate++) if (isPrime(candidate) && accepts(candidate)) return candidate;
}

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return n > 1;
}
