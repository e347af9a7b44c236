// An adapter written as a folder that PEFT reads, and loaded into a new adapter.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LoRAAdapter, type Parameter, Rng, readPeftAdapter, writePeftAdapter } from "highrank";

const rng = new Rng(2);
const trained = new LoRAAdapter(16, 8, { rank: 4, alpha: 8 }, rng);
trained.loraB.assign(trained.loraB.values.map(() => rng.normal()));

const folder = join(await mkdtemp(join(tmpdir(), "highrank-")), "adapter");
const name = "model.layers.0.self_attn.q_proj";
const onDisk = ({ shape, values }: Parameter) => ({ dtype: "float32", shape, data: values }) as const;
await writePeftAdapter(folder, {
  baseModel: null,
  rank: trained.rank,
  alpha: 8,
  dropout: 0,
  useRslora: false,
  targetModules: ["q_proj"],
  layers: new Map([[name, { loraA: onDisk(trained.loraA), loraB: onDisk(trained.loraB) }]]),
  modulesToSave: new Map(),
});
console.log((await readdir(folder)).sort().join(" "));

const { rank, alpha, targetModules, layers } = await readPeftAdapter(folder);
console.log(`rank ${rank}, alpha ${alpha}, for ${targetModules}: ${[...layers.keys()]}`);
const loaded = new LoRAAdapter(16, 8, { rank, alpha }, rng);
loaded.loraA.assign(layers.get(name)!.loraA.data);
loaded.loraB.assign(layers.get(name)!.loraB.data);

const before = await trained.calculateWeightUpdate().data();
const after = await loaded.calculateWeightUpdate().data();
console.log(`the same ΔW, bit for bit: ${before.every((value, i) => value === after[i])}`);
await rm(join(folder, ".."), { recursive: true });
