// Draws docs/rooms.svg: `node scripts/rooms.js`. tests/layers.test.ts compares its rooms with the order of the layers.
import { writeFileSync } from "node:fs";

const FLOORS = [
  {
    name: "What people use",
    color: "#7c3aed",
    rooms: {
      cli: "the terminal",
      studies: "arms, seeds, conclusions",
      verbs: "a file for each verb; target, the one door",
      serving: "HTTP for programs of this machine",
    },
  },
  {
    name: "A run",
    color: "#be185d",
    rooms: {
      training: "the loop",
      runs: "the run folder: state, metrics, report",
      relora: "the idea: plan, merging, restarts, delta log",
    },
  },
  {
    name: "A model at work",
    color: "#c2410c",
    rooms: { loading: "a model from anywhere", programs: "what is compiled of a model" },
  },
  {
    name: "Files and settings",
    color: "#a16207",
    rooms: {
      config: "one table of settings",
      hub: "names of the hub",
      formats: "other people's folders",
      gguf: "llama.cpp's files",
      files: "safetensors, JSON, checksums",
    },
  },
  {
    name: "Texts and tokens",
    color: "#4d7c0f",
    rooms: {
      data: "records, samples, packed rows",
      chats: "conversations, and what of them is scored",
      tokenizers: "texts to tokens and back",
      jinja: "the language of chat templates",
      python: "Python's values, as templates see them",
    },
  },
  {
    name: "Layers and weights",
    color: "#15803d",
    rooms: {
      models: "architectures, one file each",
      optim: "AdamW, clipping, schedules",
      adapters: "LinearAdapter, its kinds, merge policies",
      quant: "NF4, FP4, int8",
      nn: "Module, Linear, attention, losses",
    },
  },
  {
    name: "The engine",
    color: "#0e7490",
    rooms: {
      runtime: "sessions, programs, the oracle",
      compiler: "graph to ONNX",
      autograd: "gradients as graph nodes",
      ops: "primitives and compositions",
      tensor: "lazy tensors, random numbers",
    },
  },
  {
    name: "The ground",
    color: "#475569",
    rooms: {
      distributed: "several processes, through MPI",
      kernels: "loops in WebAssembly",
      platform: "files, threads, locks",
      base: "errors, JSON, suggestions, numbers",
    },
  },
];

/** Steps of the data, from the top, with the room that does each. */
const STEPS = [
  ["text", "data"],
  ["tokens", "tokenizers"],
  ["packed batch", "data"],
  ["step graph: loss, gradients", "programs"],
  ["ONNX model", "compiler"],
  ["session run", "runtime"],
  ["clipping, AdamW", "optim"],
  ["cycle end: log, merge, restart", "relora"],
  ["evaluation, sample", "programs"],
  ["checkpoint, metrics", "runs"],
  ["model folder, PEFT adapter", "formats"],
];
/** The steps between which a cycle goes round. */
const CYCLE = { from: 7, to: 2 };

const ROOM = 30;
const ARROW = "#4338ca";
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const lines = [];

let y = 64;
for (const { name, color, rooms } of FLOORS) {
  const entries = Object.entries(rooms);
  const height = entries.length * ROOM + 10;
  const box = `rx="8" fill="${color}" fill-opacity="0.07" stroke="${color}" stroke-opacity="0.5"`;
  lines.push(`<rect x="20" y="${y}" width="600" height="${height}" ${box}/>`);
  lines.push(`<text x="32" y="${y + height / 2 + 5}" fill="${color}" font-weight="600">${escaped(name)}</text>`);
  for (const [index, [room, holds]] of entries.entries()) {
    const top = y + 8 + index * ROOM;
    const frame = `rx="4" fill="#fff" stroke="${color}" stroke-opacity="0.4"`;
    lines.push(`<rect x="190" y="${top}" width="420" height="24" ${frame}/>`);
    const label = `<text x="200" y="${top + 17}" fill="#111" font-weight="600">${room}/</text>`;
    lines.push(`${label}<text x="300" y="${top + 17}" fill="#444">${escaped(holds)}</text>`);
  }
  y += height + 12;
}
const end = y;

const pitch = (end - 64 - ROOM - 30) / (STEPS.length - 1);
const middle = (index) => 64 + 26 + index * pitch;
for (const [index, [step, room]] of STEPS.entries()) {
  const { color } = FLOORS.find(({ rooms }) => room in rooms);
  const at = middle(index);
  if (index > 0) {
    const path = `M848 ${(middle(index - 1) + 15).toFixed(1)} V${(at - 17).toFixed(1)}`;
    lines.push(`<path d="${path}" stroke="${ARROW}" stroke-width="1.5" marker-end="url(#a)"/>`);
  }
  const pill = `height="30" rx="15" fill="#eef2ff" stroke="${ARROW}" stroke-opacity="0.6"`;
  lines.push(
    `<rect x="680" y="${(at - 15).toFixed(1)}" width="336" ${pill}/>` +
      `<circle cx="698" cy="${at.toFixed(1)}" r="5" fill="${color}"/>` +
      `<text x="712" y="${(at + 5).toFixed(1)}" fill="#1e1b4b">${escaped(step)}</text>` +
      `<text x="1002" y="${(at + 5).toFixed(1)}" fill="${color}" font-weight="600" text-anchor="end">${room}/</text>`,
  );
}
const back = `M680 ${middle(CYCLE.from).toFixed(1)} H652 V${middle(CYCLE.to).toFixed(1)} H678`;
lines.push(
  `<path d="${back}" fill="none" stroke="${ARROW}" stroke-width="1.5" stroke-dasharray="5 4" marker-end="url(#a)"/>`,
  `<text x="848" y="${end + 12}" fill="#444" font-size="12" text-anchor="middle">dashed: the next cycle</text>`,
);

const head = [
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1050 ${end + 30}" font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="t d">`,
  `<title id="t">The rooms of highrank and the way of the data through them</title>`,
  `<desc id="d">Each folder of src imports only from those below it. On the right, the steps from a text to a trained model, each tied to the folder that does it.</desc>`,
  `<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="${ARROW}"/></marker></defs>`,
  `<rect width="100%" height="100%" fill="#fff"/>`,
  `<text x="20" y="40" fill="#111" font-size="18" font-weight="600">The rooms: each imports only from those below it</text>`,
  `<text x="680" y="40" fill="#111" font-size="18" font-weight="600">The way of the data</text>`,
];
writeFileSync(new URL("../docs/rooms.svg", import.meta.url), `${[...head, ...lines, "</svg>"].join("\n")}\n`);
