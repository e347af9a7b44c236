import { gatherRows } from "../ops/gather.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { normal } from "./initializers.js";
import { Module, Parameter } from "./module.js";

/** A table of vectors. ids: (…) int32 from 0 to vocabSize − 1 → (…, dim). */
export class Embedding extends Module {
  /** (vocabSize, dim). */
  readonly weight: Parameter;

  constructor(weight: Parameter) {
    super();
    this.weight = weight;
  }

  static random(vocabSize: number, dim: number, rng: Rng, standardDeviation = 0.02): Embedding {
    const shape = [vocabSize, dim];
    return new Embedding(new Parameter(() => normal(shape, standardDeviation, rng), shape));
  }

  forward(ids: Tensor): Tensor {
    return gatherRows(this.weight, ids);
  }
}
