import type { Rng } from "../../src/tensor/random.js";
import { mutateBytes } from "./byte-mutations.js";
import { chance, pick, weighted } from "./choice.js";
import { hostileString, hostileValue } from "./hostile-values.js";
import { mutateJson } from "./json-mutations.js";
import { toText } from "./json-text.js";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Changes a file of lines: their order and number, or what `mutateLine` makes of one. */
function mutateLines(rng: Rng, bytes: Uint8Array, mutateLine: (line: string) => string): Uint8Array {
  const lines = decode(bytes).split("\n");
  const at = rng.below(lines.length);
  weighted<void>(rng, [
    [6, () => void lines.splice(at, 1, mutateLine(lines[at]!))],
    [1, () => void lines.splice(at, 1)],
    [1, () => void lines.splice(at, 0, lines[rng.below(lines.length)]!)],
    [1, () => void lines.splice(at, 0, hostileString(rng))],
    [1, () => void lines.splice(at, 2, lines.slice(at, at + 2).join(""))],
    [0.03, () => void lines.splice(at, 0, ...new Array<string>(20_000).fill(lines[at]!.slice(0, 60)))],
  ]);
  return encode(lines.join(pick(rng, ["\n", "\n", "\n", "\r\n", "\r"])));
}

/** Changes a `.jsonl` file. */
export function mutateJsonLines(rng: Rng, bytes: Uint8Array): Uint8Array {
  if (chance(rng, 0.15)) return mutateBytes(rng, bytes);
  return mutateLines(rng, bytes, (line) => decode(mutateJson(rng, line)));
}

/** Changes a text file. */
export function mutateText(rng: Rng, bytes: Uint8Array): Uint8Array {
  if (chance(rng, 0.5)) return mutateBytes(rng, bytes);
  return mutateLines(rng, bytes, (line) =>
    pick(rng, [hostileString(rng), line + hostileString(rng), line.repeat(50), ""]),
  );
}

/** Each line doubles what the one above stands for. */
function aliasBomb(levels: number): string {
  const lines = ["a0: &a0 [x, x]"];
  for (let i = 1; i < levels; i++) lines.push(`a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`);
  return lines.join("\n");
}

const YAML_SNIPPETS: readonly ((rng: Rng) => string)[] = [
  (rng) => aliasBomb(pick(rng, [3, 8, 30, 200])),
  (rng) => "[".repeat(pick(rng, [10, 100, 1000, 20_000])),
  (rng) => "- ".repeat(pick(rng, [10, 100, 1000, 20_000])),
  (rng) => `${"? ".repeat(pick(rng, [5, 500, 10_000]))}a`,
  () => "model: &m [*m]",
  () => "model: &m {a: *m}",
  () => "alpha: *nowhere",
  () => "<<: {rank: 3}\n<<: [1]",
  () => "? {a: 1}\n: 2\n? [a]\n: 3",
  () => "rank: !!binary aGk=\nlr: !!float x\nalpha: !!int '3'\nmodel: !<tag:x> y",
  () => "--- \nrank: 1\n--- \nrank: 2",
  () => "%YAML 9.9\n---\nrank: 1",
  () => "__proto__: {rank: 1}\nconstructor: {prototype: 1}",
  () => "lr: .nan\nalpha: .inf\nrank: 0o17\nseed: 1e999",
  () => "model: |\n  a\n b\n\tc",
  () => "data: 2001-12-14t21:59:43.10-05:00\nrank: 0x7fffffffffffffffffff",
  (rng) => Array.from({ length: pick(rng, [5, 1000]) }, (_, i) => `k${i}: ${i}`).join("\n"),
];

/** Changes a YAML config. */
export function mutateYaml(rng: Rng, bytes: Uint8Array): Uint8Array {
  if (chance(rng, 0.15)) return mutateText(rng, bytes);
  const snippet = () => pick(rng, YAML_SNIPPETS)(rng);
  return mutateLines(rng, bytes, (line) => {
    const key = line.split(":", 1)[0]!;
    return weighted(rng, [
      [6, () => `${key}: ${toText(hostileValue(rng))}`],
      [2, () => `${key}: ${hostileString(rng)}`],
      [2, () => `${line}\n${snippet()}`],
      [1, () => `${JSON.stringify(hostileString(rng))}: 1`],
      [1, () => line.replace(/(.)(.)/, "$2$1")],
      [1, () => `${line}\n${line}`],
      [1, () => ` ${line}`],
      [1, () => snippet()],
    ]);
  });
}
