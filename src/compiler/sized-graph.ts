import { ConfigError } from "../base/errors.js";
import type { StaticGraph } from "./compile.js";
import type { DynamicSizes } from "./dynamic-sizes.js";
import { sizeName } from "./emitter.js";
import type { OnnxGraph, OnnxNode, OnnxTensorInfo } from "./onnx-model.js";

/**
 * Turns a graph compiled with stand-ins into one for any sizes. Each size is read from an input that has it as an axis.
 * @throws ConfigError if no input has such an axis.
 */
export function sizedGraph(graph: StaticGraph, sizes: DynamicSizes): OnnxGraph {
  const read = [...sizes.standIns].map(([name, standIn]): OnnxNode => {
    const input = graph.inputs.find(({ shape }) => shape.includes(standIn));
    if (input === undefined) throw new ConfigError(`compile: no placeholder has an axis of the size ${name} alone`);
    const axis = input.shape.indexOf(standIn);
    const attributes = { start: { int: axis }, end: { int: axis + 1 } };
    return { opType: "Shape", inputs: [input.name], outputs: [sizeName(name)], attributes };
  });
  const declare = <T extends OnnxTensorInfo & { readonly shape: readonly number[] }>(info: T): OnnxTensorInfo => ({
    ...info,
    shape: sizes.declare(info.shape),
  });
  return {
    ...graph,
    nodes: [...read, ...graph.nodes],
    inputs: graph.inputs.map(declare),
    outputs: graph.outputs.map(declare),
  };
}
