import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { loadCorpus } from "./corpus.js";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-corpus-"));
});
afterEach(async () => rm(folder, { recursive: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

async function allDocuments(source: string): Promise<string[]> {
  const { train, validation } = await loadCorpus(source, { validationFraction: 0 });
  expect(validation).toEqual([]);
  return train;
}

test("a text file is its paragraphs", async () => {
  const path = await write("a.txt", "\ufeffone\r\nstill one\r\n\r\n\r\ntwo\n \t\n  three  \n");
  expect(await allDocuments(path)).toEqual(["one\nstill one", "two", "three"]);
});

test("a text file with end-of-text marks is the texts between them", async () => {
  const path = await write("a.TXT", "one\n\nstill one\n<|endoftext|>\ntwo<|endoftext|>\n");
  expect(await allDocuments(path)).toEqual(["one\n\nstill one", "two"]);
});

test("a Markdown file is its sections, and code keeps its comments", async () => {
  const fenced = "```sh\n# no heading\n\nls\n```";
  const path = await write("a.md", `intro\n\n# Title\n\n## First\nbody\n\n${fenced}\nmore\n## Second\n#tag\nend\n`);
  const sections = ["intro", `# Title\n\n## First\nbody\n\n${fenced}\nmore`, "## Second\n#tag\nend"];
  expect(await allDocuments(path)).toEqual(sections);
});

test("a JSONL file is the text of its lines", async () => {
  const path = await write("a.jsonl", '{"text": "one\\n\\nstill one", "id": 1}\r\n\n{"text": " "}\n{"text": "two"}');
  expect(await allDocuments(path)).toEqual(["one\n\nstill one", "two"]);
});

test("faulty lines are named with file, number and keys", async () => {
  const path = await write(
    "a.jsonl",
    '{"text": "fine"}\n{"text": \n\n{"prompt": "a", "completion": "b"}\n[1]\n{"text": 3}',
  );
  const loading = loadCorpus(path);
  await expect(loading).rejects.toThrow(DataError);
  const message = await loading.then(String, (error: Error) => error.message);
  expect(message.split("\n")).toEqual([
    expect.stringMatching(/a\.jsonl, line 2: not JSON \(.*\); each line must be one JSON object/),
    `${path}, line 4: must have a string "text"; the keys found are "prompt", "completion"; ` +
      "one source has one kind, this record is prompt-completion, those before are text",
    `${path}, line 5: must be a JSON object, got [1]`,
    `${path}, line 6: "text" must be a string, got 3`,
  ]);
});

test("many faulty lines are counted, not all listed", async () => {
  const path = await write("a.jsonl", "x\n".repeat(9));
  await expect(loadCorpus(path)).rejects.toThrow(/line 5: .*\nand 4 more lines$/);
});

test("a folder is all its text files, by path", async () => {
  await write("b.txt", "b");
  await write("a/z.md", "z");
  await write("a/y.jsonl", '{"text": "y"}');
  await write("empty.txt", "");
  await write(".hidden/c.txt", "hidden");
  await write("image.png", new Uint8Array([0x89, 0, 0xff]));
  expect(await allDocuments(folder)).toEqual(["y", "z", "b"]);
});

test("files named for a side of the split are on that side", async () => {
  await write("train.jsonl", '{"text": "train"}');
  await write("valid.jsonl", '{"text": "valid"}');
  await write("test.jsonl", '{"text": "test"}');
  await write("other.txt", "other");
  expect(await loadCorpus(folder)).toEqual({ name: folder, format: "folder", train: ["train"], validation: ["valid"] });
  await rm(join(folder, "train.jsonl"));
  expect(await loadCorpus(folder)).toMatchObject({ train: ["other"], validation: ["valid"] });
  await rm(join(folder, "other.txt"));
  await expect(loadCorpus(folder)).rejects.toThrow(/only valid\.jsonl; add files to train on/);
});

test("training files without validation files are split", async () => {
  await write("train.txt", "one\n\ntwo\n\nthree");
  await write("test.txt", "test");
  const { train, validation } = await loadCorpus(folder);
  expect([...train, ...validation].sort()).toEqual(["one", "three", "two"]);
  expect(validation).toHaveLength(1);
});

test("built-in text is split by entry, the same way each time", async () => {
  const corpus = await loadCorpus("builtin:wordnet");
  expect(corpus).toMatchObject({ name: "builtin:wordnet", format: "builtin" });
  expect(corpus.train.length + corpus.validation.length).toBe(117_791);
  expect(corpus.validation.length / 117_791).toBeCloseTo(0.02, 2);
  expect((await loadCorpus("builtin:wordnet")).validation).toEqual(corpus.validation);
});

test.each<[name: string, content: string | Uint8Array, message: RegExp]>([
  ["empty.txt", "", /empty\.txt: no text in it/],
  ["blank.jsonl", "\n \n", /blank\.jsonl: no text in it/],
  ["latin1.txt", new Uint8Array([0x63, 0x61, 0x66, 0xe9]), /latin1\.txt is not UTF-8 text \(line 1\)/],
  ["zeros.txt", new Uint8Array(64), /zeros\.txt: holds zero bytes, so it is not text/],
  [
    "a.pdf",
    "x",
    /a\.pdf: the name must end in \.txt, \.md, \.jsonl, \.json, \.csv, \.tsv, \.parquet; rename or convert/,
  ],
])("%s is refused by name", async (name, content, message) => {
  const loading = loadCorpus(await write(name, content));
  await expect(loading).rejects.toThrow(DataError);
  await expect(loading).rejects.toThrow(message);
});

test("a missing source is refused, and the message lists the built-in ones", async () => {
  await expect(loadCorpus(join(folder, "no.txt"))).rejects.toThrow(/no\.txt: there is no such .*use builtin:wordnet/);
  await expect(loadCorpus(folder)).rejects.toThrow(
    /no file whose name ends in \.txt, \.md, \.jsonl, \.json, \.csv, \.tsv, \.parquet; add one/,
  );
  for (const name of ["none", "constructor"]) {
    await expect(loadCorpus(`builtin:${name}`)).rejects.toThrow(
      `there is no such built-in text; there is builtin:wordnet`,
    );
  }
});
