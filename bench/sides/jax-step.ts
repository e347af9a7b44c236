// One training step of a LLaMA on @jax-js/jax's WebAssembly backend, on the line protocol of bench/README.md.
import { defaultDevice, grad, init, jit, nn, numpy as np, random, valueAndGrad } from "@jax-js/jax";
import { fixedBatch, parseStepOptions, readPackageVersion, readPreset } from "../step-options.js";
import { serveSide } from "./serve.js";

type Weights = Record<string, np.Array>;

const options = parseStepOptions(process.argv.slice(2));
if (options.method !== "full") throw new Error("jax-step: the method is full");
const { hidden_size: hidden, intermediate_size: intermediate, ...preset } = readPreset(options.preset);
const { batch, sequence, vocab } = options;
const heads = preset.num_attention_heads;
const headDim = hidden / heads;
const tokens = batch * sequence;

await init("wasm");
defaultDevice("wasm");

/** Weights as [in, out], the layout that jax-js multiplies by as it is. */
function buildWeights(): Weights {
  const shapes: Record<string, number[]> = { embedding: [vocab, hidden], norm: [hidden], head: [hidden, vocab] };
  for (let layer = 0; layer < preset.num_hidden_layers; layer++) {
    for (const name of ["q", "k", "v", "o"]) shapes[`${layer}.${name}`] = [hidden, hidden];
    for (const name of ["gate", "up"]) shapes[`${layer}.${name}`] = [hidden, intermediate];
    shapes[`${layer}.down`] = [intermediate, hidden];
    for (const name of ["attentionNorm", "mlpNorm"]) shapes[`${layer}.${name}`] = [hidden];
  }
  const entries = Object.entries(shapes).map(([name, shape], index): [string, np.Array] => [
    name,
    shape.length === 1 ? np.ones(shape) : random.normal(random.key(index), shape).mul(0.02),
  ]);
  return Object.fromEntries(entries);
}

/** cos and sin of shape [1, sequence, 1, headDim], each frequency twice. */
function rotaryTable(fn: (angle: number) => number): np.Array {
  const table = new Float32Array(sequence * headDim);
  for (let i = 0; i < table.length; i++) {
    const pair = (i % headDim) % (headDim / 2);
    table[i] = fn(Math.floor(i / headDim) * 10000 ** ((-2 * pair) / headDim));
  }
  return np.array(table).reshape([1, sequence, 1, headDim]);
}
const cos = rotaryTable(Math.cos);
const sin = rotaryTable(Math.sin);
const futureMask = np.triu(np.full([sequence, sequence], -1e9), 1);

function rmsNorm(x: np.Array, weight: np.Array): np.Array {
  const meanSquare = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.div(np.sqrt(meanSquare.add(1e-6))).mul(weight);
}

function rotate(x: np.Array): np.Array {
  const [left, right] = np.split(x.ref, 2, -1) as [np.Array, np.Array];
  return x.mul(cos.ref).add(np.concatenate([np.negative(right), left], -1).mul(sin.ref));
}

/** Written out, because nn.dotProductAttention goes through einsum, which needs iterator helpers that Node 20 lacks. */
function attention(q: np.Array, k: np.Array, v: np.Array): np.Array {
  const scores = np.matmul(q.transpose([0, 2, 1, 3]), k.transpose([0, 2, 3, 1])).mul(headDim ** -0.5);
  const mixed = np.matmul(nn.softmax(scores.add(futureMask.ref), -1), v.transpose([0, 2, 1, 3]));
  return mixed.transpose([0, 2, 1, 3]).reshape([tokens, hidden]);
}

function block(weights: Weights, layer: number, x: np.Array): np.Array {
  const weight = (name: string): np.Array => weights[`${layer}.${name}`]!.ref;
  const normed = rmsNorm(x.ref, weight("attentionNorm"));
  const project = (name: string): np.Array =>
    np.matmul(normed.ref, weight(name)).reshape([batch, sequence, heads, headDim]);
  const [q, k, v] = [rotate(project("q")), rotate(project("k")), project("v")];
  normed.dispose();
  const mixed = attention(q, k, v);
  const attended = x.add(np.matmul(mixed, weight("o")));
  const mlpInput = rmsNorm(attended.ref, weight("mlpNorm"));
  const gate = nn.silu(np.matmul(mlpInput.ref, weight("gate")));
  const up = np.matmul(mlpInput, weight("up"));
  return attended.add(np.matmul(gate.mul(up), weight("down")));
}

/** Consumes its arguments, as functions of jax-js must. `x` is the embedded batch [tokens, hidden]. */
function lossOf(weights: Weights, x: np.Array, oneHotLabels: np.Array): np.Array {
  for (let layer = 0; layer < preset.num_hidden_layers; layer++) x = block(weights, layer, x);
  const logits = np.matmul(rmsNorm(x, weights.norm!.ref), weights.head!.ref);
  for (const weight of Object.values(weights)) weight.dispose();
  return nn
    .logSoftmax(logits)
    .mul(oneHotLabels)
    .sum()
    .mul(-1 / tokens);
}

// jit refuses the gradient of a lookup ("routine primitive scatter input is not imm"), so the embedding stays outside of it.
const lossAndGradients = jit(valueAndGrad(lossOf, { argnums: [0, 1] }));
const embeddingGradient = grad((embedding: np.Array, ids: np.Array, upstream: np.Array) =>
  np.take(embedding, ids, 0).mul(upstream).sum(),
);

/** Scales all gradients together so that their global norm is at most 1. */
const clip = jit((gradients: Weights): Weights => {
  const squares = Object.values(gradients).map((gradient) => np.square(gradient.ref).sum());
  const norm = np.sqrt(squares.reduce((a, b) => a.add(b)));
  const scale = np.minimum(np.divide(1, norm.add(1e-6)), 1);
  const clipped = Object.entries(gradients).map(([name, g]): [string, np.Array] => [name, g.mul(scale.ref)]);
  scale.dispose();
  return Object.fromEntries(clipped);
});

/** AdamW with lr 1e-3, betas 0.9 and 0.999, eps 1e-8, no decay; the corrections are 1 - beta to the power of the step. */
const adamw = jit(
  (weight: np.Array, m: np.Array, v: np.Array, g: np.Array, correction1: np.Array, correction2: np.Array) => {
    const nextM = m.mul(0.9).add(g.ref.mul(0.1));
    const nextV = v.mul(0.999).add(np.square(g).mul(0.001));
    const denominator = np.sqrt(nextV.ref.div(correction2)).add(1e-8);
    const next = weight.sub(nextM.ref.div(correction1).div(denominator).mul(1e-3));
    return [next, nextM, nextV];
  },
);

const { inputIds, labels } = fixedBatch(options);
const ids = np.array(inputIds);
const oneHotLabels = nn.oneHot(np.array(labels), vocab);
const weights = buildWeights();
const moments = Object.entries(weights).map(([name, weight]): [string, [np.Array, np.Array]] => [
  name,
  [np.zeros(weight.shape), np.zeros(weight.shape)],
]);
const state = new Map(moments);
let stepCount = 0;

const refs = (tree: Weights): Weights => Object.fromEntries(Object.entries(tree).map(([name, a]) => [name, a.ref]));

async function step(): Promise<{ loss: number }> {
  stepCount++;
  const { embedding, ...rest } = weights as Weights & { embedding: np.Array };
  const x = np.take(embedding.ref, ids.ref, 0);
  const [loss, [gradients, upstream]] = lossAndGradients(refs(rest), x, oneHotLabels.ref) as [
    np.Array,
    [Weights, np.Array],
  ];
  const clipped = clip({ ...gradients, embedding: embeddingGradient(embedding.ref, ids.ref, upstream) });
  for (const [name, gradient] of Object.entries(clipped)) {
    const [m, v] = state.get(name)!;
    const corrections = [np.array(1 - 0.9 ** stepCount), np.array(1 - 0.999 ** stepCount)] as const;
    const [next, nextM, nextV] = adamw(weights[name]!, m, v, gradient, ...corrections) as [
      np.Array,
      np.Array,
      np.Array,
    ];
    weights[name] = next;
    state.set(name, [nextM, nextV]);
  }
  for (const weight of Object.values(weights)) await weight.blockUntilReady();
  return { loss: (await loss.data())[0]! };
}

const count = Object.values(weights).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
await serveSide(
  {
    side: "jax-js",
    version: readPackageVersion("@jax-js/jax"),
    parameters: count,
    trained: count,
    // Its threads need the Worker of browsers, which Node.js lacks.
    setup: { device: defaultDevice(), threads: "Worker" in globalThis ? options.threads : 1 },
  },
  { step },
);
