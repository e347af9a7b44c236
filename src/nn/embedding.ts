import { COUNT, NOT_NEGATIVE, requireEach } from "../base/arguments.js";
import { gatherRows } from "../ops/gather.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { normal } from "./initializers.js";
import { Module, Parameter } from "./module.js";
import { requireMatrix } from "./weight-shape.js";

/** A table of vectors. ids: (…) int32 from 0 to vocabSize − 1 → (…, dim). */
export class Embedding extends Module {
  /** (vocabSize, dim). */
  readonly weight: Parameter;

  /** @throws ShapeError unless the weight has two axes. */
  constructor(weight: Parameter) {
    super();
    requireMatrix("Embedding", weight);
    this.weight = weight;
  }

  /** @throws ConfigError unless the sizes are integers of at least 1 and the deviation is finite and not negative. */
  static random(vocabSize: number, dim: number, rng: Rng, standardDeviation = 0.02): Embedding {
    requireEach("Embedding", COUNT, { vocabSize, dim });
    requireEach("Embedding", NOT_NEGATIVE, { standardDeviation });
    const shape = [vocabSize, dim];
    return new Embedding(new Parameter(() => normal(shape, standardDeviation, rng), shape));
  }

  forward(ids: Tensor): Tensor {
    return gatherRows(this.weight, ids);
  }
}
