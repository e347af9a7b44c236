import type { Rng } from "../../src/tensor/random.js";
import { mutateBytes } from "./byte-mutations.js";
import { chance, pick, weighted } from "./choice.js";
import { mutateGguf } from "./gguf-mutations.js";
import { hostileString, PATHS } from "./hostile-values.js";
import { mutateJson } from "./json-mutations.js";
import { mutateSafetensors } from "./safetensors-mutations.js";
import { mutateJsonLines, mutateText, mutateYaml } from "./text-mutations.js";
import type { Tree } from "./tree.js";

/** A copy of the folder with one or two changes: to what is in a file, mostly, or to which files there are. */
export function mutateTree(rng: Rng, original: Tree): Tree {
  const tree: Tree = new Map(original);
  for (let changes = pick(rng, [1, 1, 1, 2]); changes > 0; changes--) {
    if (chance(rng, 0.85)) mutateContent(rng, tree);
    else mutateEntries(rng, tree);
  }
  return tree;
}

function mutateContent(rng: Rng, tree: Tree): void {
  const files = filesOf(tree);
  if (files.length === 0) return;
  const [name, bytes] = pick(rng, files);
  tree.set(name, { kind: "file", bytes: mutatorOf(name)(rng, bytes) });
}

/** Changes that know the format which the name announces. */
function mutatorOf(name: string): (rng: Rng, bytes: Uint8Array) => Uint8Array {
  if (name.endsWith(".safetensors")) return mutateSafetensors;
  if (name.endsWith(".gguf")) return mutateGguf;
  if (name.endsWith(".json")) return (rng, bytes) => mutateJson(rng, new TextDecoder().decode(bytes));
  if (name.endsWith(".jsonl")) return mutateJsonLines;
  if (name.endsWith(".yaml")) return mutateYaml;
  return /\.(txt|md|jinja)$/.test(name) || !name.includes(".") ? mutateText : mutateBytes;
}

function filesOf(tree: Tree): [name: string, bytes: Uint8Array][] {
  return [...tree].flatMap(([name, entry]): [string, Uint8Array][] =>
    entry.kind === "file" ? [[name, entry.bytes]] : [],
  );
}

function mutateEntries(rng: Rng, tree: Tree): void {
  const names = [...tree.keys()];
  if (names.length === 0) return;
  const name = pick(rng, names);
  const other = pick(rng, names);
  const entry = tree.get(name)!;
  const beside = (base: string): string => [...name.split("/").slice(0, -1), base].join("/");
  weighted<void>(rng, [
    [3, () => removeBelow(tree, name)],
    [2, () => void tree.set(name, { kind: "file", bytes: new Uint8Array(0) })],
    [
      2,
      () => {
        const [mine, its] = [tree.get(name)!, tree.get(other)!];
        if (mine.kind !== "file" || its.kind !== "file") return;
        tree.set(name, its);
        tree.set(other, mine);
      },
    ],
    [
      2,
      () => {
        removeBelow(tree, name);
        tree.set(name, { kind: "folder" });
      },
    ],
    [
      4,
      () => {
        removeBelow(tree, name);
        tree.set(name, { kind: "link", to: linkTarget(rng, name, other) });
      },
    ],
    [
      2,
      () => {
        tree.set(beside(pick(rng, ["more.txt", "x.safetensors", "deeper", "__proto__.safetensors", "z.jsonl"])), {
          kind: "link",
          to: linkTarget(rng, name, other),
        });
      },
    ],
    [
      2,
      () => {
        removeBelow(tree, name);
        tree.set(
          beside(
            pick(rng, [
              hostileString(rng),
              ...PATHS,
              "__proto__.safetensors",
              `${"9".repeat(40)}`,
              "pytorch_model.bin",
            ]),
          ),
          entry,
        );
      },
    ],
    [
      1,
      () =>
        void tree.set(
          beside(
            pick(rng, ["pytorch_model.bin", "A.TXT", "valid.jsonl", "cycle-000009.safetensors", "checkpoint-000007"]),
          ),
          entry,
        ),
    ],
    [
      0.3,
      () => {
        removeBelow(tree, name);
        tree.set(name, { kind: "fifo" });
      },
    ],
  ]);
}

function removeBelow(tree: Tree, name: string): void {
  for (const key of [...tree.keys()]) if (key === name || key.startsWith(`${name}/`)) tree.delete(key);
}

/** Out of the folder, into it, to itself, to the folder it lies in, to nothing, to a device. */
function linkTarget(rng: Rng, name: string, other: string): string {
  const up = "../".repeat(name.split("/").length - 1);
  const base = name.split("/").at(-1)!;
  return pick(rng, [
    ...["/etc/passwd", "/etc", "/dev/zero", "/dev/stdin", "/proc/self/environ", "/", ".", "..", base, "nowhere"],
    ...[
      `${up}../outside/${base}`,
      `${up}../outside`,
      `${up}${other}`,
      `${up}${other}`,
      up === "" ? "." : up,
      `${up}../case`,
    ],
  ]);
}
