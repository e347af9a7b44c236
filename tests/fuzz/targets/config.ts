import { mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { readText } from "#platform";
import { loadConfigFile } from "../../../src/config/config-file.js";
import { resolveSettings } from "../../../src/config/resolve.js";
import { expectThat, type FuzzTarget } from "../target.js";

const YAML = `# a run
base_model: &size tiny
data: a.txt
method: relora
rank: 4
lora_alpha: 8.5
target_modules: [q_proj, up_proj]
train_modules: none
max_steps: 400
relora_every: 100
warm-start-steps: 0
lr: 1e-3
quantize: nf4
merge_policy: residual
preset: none
tokenizer: none
max_train_tokens: 1M
`;

export const config: FuzzTarget = {
  name: "config",
  sources: ["config/config-file", "config/resolve", "config/parse-value", "config/cross-checks", "config/names"],
  writeSamples: async (folder) => {
    const files = {
      yaml: YAML,
      json: JSON.stringify(resolveSettings({ flags: { method: "lora", model: "tiny" } }), null, 2),
    };
    for (const [format, text] of Object.entries(files)) {
      await mkdir(path.join(folder, format), { recursive: true });
      await writeFile(path.join(folder, format, `config.${format}`), text);
    }
  },
  run: async (folder) => {
    for (const name of await readdir(folder)) {
      const file = path.join(folder, name);
      const settings = resolveSettings({ file: loadConfigFile(await readText(file), file) });
      const again = resolveSettings({ file: { path: name, values: { ...settings } } });
      expectThat(JSON.stringify(again) === JSON.stringify(settings), "resolving again gives other settings");
    }
  },
};
