import {
  baseName,
  exists,
  fileSize,
  filesBelow,
  folderOf,
  isDirectory,
  joinPath,
  withTemporaryFolder,
  writeFileAtomic,
} from "#platform";
import { OBJECT, requireArguments, TEXT } from "../base/arguments.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { either, optionName } from "../base/naming.js";
import { readJsonObject, toJsonText } from "../files/json-file.js";
import { checkpointPath, orCheckpointError } from "../files/open-file.js";
import { CARD, changedCard, readCard } from "../files/own-card.js";
import { isPickleName, pickleError } from "../files/pickle.js";
import type { CardForm } from "../formats/card-loading.js";
import { cardNamed, cardOnBase } from "../formats/model-card.js";
import { isGgufName } from "../gguf/open-gguf.js";
import { hubAccess } from "../hub/hub-access.js";
import { HubClient } from "../hub/hub-client.js";
import { listRepository } from "../hub/hub-listing.js";
import { parseHubName } from "../hub/hub-name.js";
import { type FileToSend, type UploadedModel, type UploadOptions, uploadModel } from "../hub/hub-upload.js";
import { isAdapterFolder } from "../loading/open-adapter.js";
import { isRunFolder, readRunSettings } from "../runs/run-folder.js";
import type { PUSHED_PARTS } from "./export-formats.js";
import { exportPeft } from "./export-peft.js";
import { openTarget, type Target } from "./target.js";
import { hasChatTemplate, targetCard } from "./target-card.js";

/** Options of {@link pushTarget}. */
export interface PushOptions extends Pick<UploadOptions, "access" | "patience" | "onUpload" | "onNotice"> {
  /** The part of a run. Default and null: its adapter if it is for a model of the hub, or else its model. */
  readonly what?: (typeof PUSHED_PARTS)[number] | null;
  /** The model of the hub under an adapter. Default and null: the one that the run or the adapter names. */
  readonly base?: string | null;
  /** True for a repository that everybody sees. Default: false. */
  readonly public?: boolean;
  /** True to say what would be sent, without asking the network. Default: false. */
  readonly dryRun?: boolean;
}

/** What was pushed, or with `dryRun` would be. */
export interface Pushed {
  /** `organisation/name`. */
  readonly name: string;
  readonly isPublic: boolean;
  /** Files of the repository by path, with their bytes. */
  readonly files: readonly Pick<FileToSend, "path" | "bytes">[];
  /** Names in the folder that are no part of a model and stay here. */
  readonly leftOut: readonly string[];
  /** Null for a dry run. */
  readonly uploaded: UploadedModel | null;
}

/**
 * Sends a run's adapter or model, or a folder or GGUF file that was exported, to the hub: one commit in a repository
 * that is private unless asked otherwise, and is made if there is none.
 * @param name `organisation/name`.
 * @throws ConfigError for another name, no token, and for an adapter whose base nobody else can get; CheckpointError
 * for a folder that holds no weights, and as `uploadModel`.
 */
export async function pushTarget(target: string, name: string, options: PushOptions = {}): Promise<Pushed> {
  requireArguments("pushTarget", { target: TEXT, name: TEXT, options: OBJECT }, { target, name, options });
  requireName(name);
  if (!(await exists(target))) {
    throw new CheckpointError(`${target}: there is no such file or folder; name a run or what export or merge wrote`);
  }
  return withTemporaryFolder(async (folder) => {
    const { files, leftOut } = await filesOf(target, name, folder, options);
    const isPublic = options.public ?? false;
    if (options.base != null) await checkBase(options.base, options);
    const uploaded = options.dryRun ? null : await uploadModel(name, files, { ...options, isPublic });
    const listed = files.map(({ path, bytes }) => ({ path, bytes }));
    return { name, isPublic: uploaded?.isPublic ?? isPublic, files: listed, leftOut, uploaded };
  });
}

/** Requires that a model of the hub is there, unless nothing is to be asked of it. */
async function checkBase(base: string, { dryRun, access: given, patience, onNotice }: PushOptions): Promise<void> {
  const repository = parseHubName(base)!;
  if (dryRun !== true) {
    const access = given ?? (await hubAccess());
    await listRepository(new HubClient(repository.name, access, onNotice, patience), repository, "model");
  }
  onNotice?.(`Whether ${base} has the weights that the adapter was trained on is not checked.`);
}

function requireName(name: string): void {
  if (parseHubName(name)?.name === name) return;
  throw new ConfigError(`${either("name", "NAME")}: must be organisation/name on the hub, or you/name, got "${name}"`);
}

interface Files {
  readonly files: readonly FileToSend[];
  readonly leftOut: readonly string[];
}

/** @param made a folder for files that are made for the push. */
async function filesOf(target: string, name: string, made: string, options: PushOptions): Promise<Files> {
  const { what = null, base = null } = options;
  const isRun = await isRunFolder(target);
  if (what !== null && !isRun) {
    throw new ConfigError(`${optionName("what")} is for runs; ${target} is not one, so leave it out`);
  }
  if (isRun) return runFiles(target, name, made, options);
  if (await isAdapterFolder(target)) return adapterFiles(target, name, made, { named: target, base });
  if (base !== null) {
    throw new ConfigError(`${optionName("base")} is for adapters; ${target} is not one, so leave it out`);
  }
  if (!isGgufName(target)) return folderFiles(target, name, made);
  const { files } = await folderFiles(folderOf(target), name, made);
  return { files: files.filter(({ path }) => path === baseName(target) || path === CARD), leftOut: [] };
}

async function runFiles(run: string, name: string, made: string, { what, base = null }: PushOptions): Promise<Files> {
  const part = base !== null ? "adapter" : (what ?? (await publishedPart(run)));
  if (what === "model" && base !== null) {
    throw new ConfigError(`${optionName("base")} is for adapters; with ${optionName("what", "model")} leave it out`);
  }
  const target = await openTarget(run, { base: null });
  if (part === "model") {
    const folder = joinPath(run, "model");
    if (!(await exists(folder))) {
      throw new CheckpointError(`${run} has not finished its model; resume it, or push what merge writes of it`);
    }
    return folderFiles(folder, name, made, { target, form: { kind: "model", isQuantized: false } });
  }
  const adapter = joinPath(made, "adapter");
  await exportPeft(target, adapter);
  return adapterFiles(adapter, name, made, { named: run, base });
}

/** The adapter of a run if the hub has its base, or else its model. */
async function publishedPart(run: string): Promise<(typeof PUSHED_PARTS)[number]> {
  const { method, model, warmStartSteps } = await readRunSettings(run);
  const isOfHub = parseHubName(model) !== undefined && model.includes("@") && warmStartSteps === 0;
  return method !== "full" && isOfHub ? "adapter" : "model";
}

/**
 * The files of an adapter, whose config names a base that readers elsewhere can get.
 * @param named the folder that errors name: the adapter's own, or that of the run that it was made of.
 */
async function adapterFiles(
  folder: string,
  name: string,
  made: string,
  { named, base }: { readonly named: string; readonly base: string | null },
): Promise<Files> {
  const path = await checkpointPath(folder, "adapter_config.json");
  const config = await readJsonObject(path);
  const found = await folderFiles(folder, name, made);
  const basis = base ?? String(config.base_model_name_or_path ?? "");
  const ofHub = parseHubName(basis);
  if (ofHub === undefined || (base === null && (await exists(basis)))) {
    throw new ConfigError(
      `${named}: the base of the adapter is ${basis === "" ? "not named" : basis}, which nobody else can get; name a ` +
        `model of the hub with ${optionName("base")}, or push a whole model, as merge writes it`,
    );
  }
  if (base === null) return found;
  const revision = base.includes("@") ? ofHub.revision : null;
  const text = toJsonText({ ...config, base_model_name_or_path: ofHub.name, revision }, "adapter_config.json");
  const texts = new Map([["adapter_config.json", text]]);
  const card = await readCard(folder);
  if (card !== null) {
    const hasTokenizer = found.files.some(({ path: file }) => file === "tokenizer.json");
    const form = { kind: "adapter", hasTokenizer, isChat: hasTokenizer && (await hasChatTemplate(folder)) } as const;
    const cardBase = { name: ofHub.name, isOfHub: true, revision };
    texts.set(
      CARD,
      changedCard(card, (own) => cardNamed(cardOnBase(own, form, cardBase), name)),
    );
  }
  return withMade(found, made, texts);
}

/** Files that belong to a model. Others, such as what lies there by chance, do not leave the machine. */
const OF_MODEL =
  /^((onnx|additional_chat_templates)\/)?[^/]+\.(safetensors|json|txt|md|jinja|model|gguf|onnx|onnx_data(_\d+)?)$|^(LICENSE|NOTICE)[^/]*$/;
const WEIGHTS = /\.(safetensors|gguf|onnx)$/;
/** Files of ours that say nothing elsewhere. */
const OURS = ["checksums.json"];

/** What is known of a folder that has no card yet. */
interface WithoutCard {
  readonly target: Target;
  readonly form: Omit<CardForm & { kind: "model" }, "isChat">;
}

async function folderFiles(folder: string, name: string, made: string, without?: WithoutCard): Promise<Files> {
  if (!(await isDirectory(folder))) {
    throw new CheckpointError(`${folder} is no folder with a model, and no GGUF file; name one`);
  }
  const names = (await orCheckpointError(filesBelow(folder))).filter((each) => !OURS.includes(each));
  const pickles = names.filter(isPickleName);
  if (pickles.length > 0) throw pickleError(folder, pickles);
  const own = names.filter((each) => OF_MODEL.test(each) && !each.startsWith("."));
  if (!own.some((each) => WEIGHTS.test(each))) {
    throw new CheckpointError(
      `${folder} holds no weights (.safetensors, .onnx or .gguf); name a run or what export or merge wrote`,
    );
  }
  const files: FileToSend[] = [];
  for (const path of own) {
    const file = await checkpointPath(folder, path);
    files.push({ path, file, bytes: await fileSize(file) });
  }
  const found = { files, leftOut: names.filter((each) => !own.includes(each)) };
  const card = (await readCard(folder)) ?? (without === undefined ? null : await cardOf(folder, without));
  if (card === null) return found;
  return withMade(found, made, new Map([[CARD, changedCard(card, (text) => cardNamed(text, name))]]));
}

async function cardOf(folder: string, { target, form }: WithoutCard): Promise<string> {
  return targetCard(target, { ...form, isChat: await hasChatTemplate(folder) });
}

/** The files with some of them in the place of others, or beside them. */
async function withMade({ files, leftOut }: Files, made: string, texts: ReadonlyMap<string, string>): Promise<Files> {
  const others = files.filter(({ path }) => !texts.has(path));
  for (const [path, text] of texts) {
    const file = joinPath(made, path);
    await writeFileAtomic(file, text);
    others.push({ path, file, bytes: await fileSize(file) });
  }
  return { files: others.sort((a, b) => (a.path < b.path ? -1 : 1)), leftOut };
}
