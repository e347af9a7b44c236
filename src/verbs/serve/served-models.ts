import { cpuCount } from "#platform";
import { ConfigError } from "../../base/errors.js";
import { optionName } from "../../base/naming.js";
import { modelFolder } from "../../hub/locate-model.js";
import type { DownloadEvents } from "../../hub/model-download.js";
import { readTokenizer } from "../../loading/companions.js";
import { openAdapterOn, tokenizerFolder } from "../../loading/open-adapter.js";
import { sharedModel } from "../../loading/shared-model.js";
import { threadsWarning } from "../../runtime/threads.js";
import { modelTokenizer } from "../../tokenizers/model-tokenizer.js";
import { noteUnused, Writer } from "../generate.js";
import { type LoadedTarget, modelOf, openTarget, requireLength } from "../target.js";
import { holding } from "../weight-holding.js";
import type { EngineJob } from "./messages.js";

/**
 * Loads a target, and beside it adapters that share its weights. → writers by the names of their models, the target's
 * first.
 * @throws ConfigError for adapters beside anything but a model; as `loadTarget`.
 */
export async function loadServed(job: EngineJob, events: DownloadEvents): Promise<Map<string, Writer>> {
  const { target: named, name, base: under, checkpoint = null, adapters, chatTemplate = null, device, threads } = job;
  const tooMany = threadsWarning(threads ?? null);
  if (tooMany !== null) events.onNotice?.(tooMany);
  const target = await openTarget(named, { base: under, checkpoint, ...events });
  if (target.kind !== "model" && Object.keys(adapters).length > 0) {
    const is = target.kind === "run" ? "a run" : "a PEFT adapter";
    throw new ConfigError(
      `${optionName("adapter")} is for models; ${named} is ${is}, so name its base instead, and its adapter among ` +
        "the others",
    );
  }
  const base = await modelOf(target, { adapter: true, device, ...holding(job, { device, ...events }) });
  requireLength("contextTokens", job.contextTokens, base, named);
  await noteUnused(base, events);
  const loaded = new Map<string, LoadedTarget>([[name, base]]);
  for (const [model, adapter] of Object.entries(adapters)) {
    const folder = await modelFolder(adapter, events);
    const opened = await openAdapterOn(base.folder, folder, events);
    const read = async () => readTokenizer(await tokenizerFolder(folder, base.folder));
    loaded.set(model, {
      ...base,
      model: await sharedModel(base.model, opened),
      tokenizer: { ...base.tokenizer, read },
    });
  }
  const writers = new Map<string, Writer>();
  const session = { device, threads: threads ?? cpuCount() };
  for (const [model, each] of loaded) {
    const tokenizer = await modelTokenizer(each.tokenizer, chatTemplate);
    writers.set(model, await Writer.of(model, each, tokenizer, session));
  }
  return writers;
}
