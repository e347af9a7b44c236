import type { Op } from "../tensor/tensor.js";
import { broadcastOp, sumOp } from "./broadcast.js";
import { constantOp } from "./constant.js";
import {
  addOp,
  castOp,
  divOp,
  equalOp,
  erfOp,
  expOp,
  lessOp,
  logOp,
  mulOp,
  negOp,
  sigmoidOp,
  sqrtOp,
  subOp,
  tanhOp,
  whereOp,
} from "./elementwise.js";
import { addPerRowOp, gatherRowsOp, scatterAddRowsOp, takePerRowOp } from "./gather.js";
import { matmulOp } from "./matmul.js";
import { concatOp, padOp, reshapeOp, sliceOp, transposeOp } from "./movement.js";
import { inverseRmsOp, rmsNormOp } from "./norm.js";
import { dequantizeFourBitOp, dequantizeInt8Op, matmulFourBitOp } from "./quantized.js";
import { maxOp } from "./reduce.js";
import { rotaryOp } from "./rotary.js";
import { softmaxOp } from "./softmax.js";

/** Every op that a device must run; all others are compositions of these. */
export const PRIMITIVES = {
  add: addOp as Op,
  addPerRow: addPerRowOp as Op,
  broadcast: broadcastOp as Op,
  cast: castOp as Op,
  concat: concatOp as Op,
  constant: constantOp as Op,
  dequantizeFourBit: dequantizeFourBitOp as Op,
  dequantizeInt8: dequantizeInt8Op as Op,
  div: divOp as Op,
  equal: equalOp as Op,
  erf: erfOp as Op,
  exp: expOp as Op,
  gatherRows: gatherRowsOp as Op,
  inverseRms: inverseRmsOp as Op,
  less: lessOp as Op,
  log: logOp as Op,
  matmul: matmulOp as Op,
  matmulFourBit: matmulFourBitOp as Op,
  max: maxOp as Op,
  mul: mulOp as Op,
  neg: negOp as Op,
  pad: padOp as Op,
  reshape: reshapeOp as Op,
  rmsNorm: rmsNormOp as Op,
  rotary: rotaryOp as Op,
  scatterAddRows: scatterAddRowsOp as Op,
  sigmoid: sigmoidOp as Op,
  slice: sliceOp as Op,
  softmax: softmaxOp as Op,
  sqrt: sqrtOp as Op,
  sub: subOp as Op,
  sum: sumOp as Op,
  takePerRow: takePerRowOp as Op,
  tanh: tanhOp as Op,
  transpose: transposeOp as Op,
  where: whereOp as Op,
};

export type PrimitiveName = keyof typeof PRIMITIVES;
