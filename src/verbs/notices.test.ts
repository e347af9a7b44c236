import { beforeEach, expect, test, vi } from "vitest";
import { optionName } from "../base/naming.js";
import { compare } from "../studies/compare.js";
import { quantize, serve } from "./door.js";
import { resume, train } from "./train.js";

interface Heard {
  readonly onNotice?: (text: string) => void;
}

/** Stands in for the work of a verb: says one thing, which names a setting. */
const { work } = vi.hoisted(() => ({
  work: (options: Heard) => {
    options.onNotice?.(said.text);
    return { outcome: "planned", runFolder: "runs/none" };
  },
}));
const said = { text: "" };

vi.mock("../training/train.js", () => ({ train: async (_: unknown, options: Heard) => work(options) }));
vi.mock("../training/resume.js", () => ({
  resume: async (_: string, __: unknown, options: Heard) => work(options),
}));
vi.mock("./quantize.js", () => ({ quantizeModel: async (_: string, options: Heard) => work(options) }));
vi.mock("./serve/serve.js", () => ({ serveTarget: async (_: string, options: Heard) => work(options) }));
vi.mock("../studies/run-study.js", () => ({
  startStudy: (_: unknown, options: Heard) => ({ done: Promise.resolve(work(options)), stop: () => {} }),
}));

beforeEach(() => {
  said.text = `${optionName("keepQuantized")} saves memory`;
});

test.each<[string, (onNotice: (text: string) => void) => Promise<unknown>]>([
  ["train", (onNotice) => train({ model: "tiny" }, { onNotice })],
  ["resume", (onNotice) => resume("runs/none", {}, { onNotice })],
  ["quantize", (onNotice) => quantize("a", { to: "nf4", out: "b", onNotice })],
  ["serve", (onNotice) => serve("a", { onNotice })],
  ["compare", (onNotice) => compare({ seeds: [0], arms: { a: { model: "tiny" } } }, { onNotice })],
])("the listener of %s hears settings by their keys, without marks", async (_, call) => {
  const heard: string[] = [];
  await call((text) => void heard.push(text));
  expect(heard).toEqual(["keepQuantized saves memory"]);
});
