import type { Shape } from "../tensor/shape.js";

/**
 * Sizes that each run decides, in graphs whose shapes are numbers. While a graph is built, a number that occurs nowhere
 * else stands in for each size. The compiler then emits nodes that compute from the actual size whatever it would
 * compute from that number.
 */
export class DynamicSizes {
  /** Stand-in numbers by name. */
  readonly standIns: ReadonlyMap<string, number>;

  /** @param standIns by name: pairwise coprime, and none a factor of any fixed size. */
  constructor(standIns: Readonly<Record<string, number>>) {
    this.standIns = new Map(Object.entries(standIns));
  }

  /** Factors a size into a fixed number and dynamic sizes by name. */
  factor(size: number): { readonly fixed: number; readonly names: readonly string[] } {
    let fixed = size;
    const names: string[] = [];
    for (const [name, standIn] of this.standIns) {
      for (; fixed !== 0 && fixed % standIn === 0; fixed /= standIn) names.push(name);
    }
    return { fixed, names };
  }

  /** True if the size is a run's to decide, at least in part. */
  has(size: number): boolean {
    return this.factor(size).names.length > 0;
  }

  /** The shape in a run with these sizes. */
  resolve(shape: Shape, sizes: Readonly<Record<string, number>>): number[] {
    return shape.map((size) => {
      const { fixed, names } = this.factor(size);
      return names.reduce((product, name) => product * sizes[name]!, fixed);
    });
  }

  /** A shape as declared in files: dynamic sizes by name. */
  declare(shape: Shape): (number | string)[] {
    return shape.map((size) => {
      const { fixed, names } = this.factor(size);
      return names.length === 0 ? size : [...(fixed === 1 ? [] : [fixed]), ...names].join(" * ");
    });
  }
}

/** The smallest prime of at least `least` for which `accepts` is true. */
export function primeFrom(least: number, accepts: (prime: number) => boolean): number {
  for (let candidate = least; ; candidate++) if (isPrime(candidate) && accepts(candidate)) return candidate;
}

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return n > 1;
}
