import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { runCommand } from "./run-command.js";
import { writeStandIn } from "./stand-in-model.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PAGES = ["README.md", ...readdirSync(path.join(ROOT, "docs")).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);

interface Snippet {
  /** `docs/adapters.md:42`, the line of the opening fence. */
  readonly name: string;
  readonly language: string;
  readonly code: string;
}

/** The fenced blocks of a page, in order. */
function snippetsOf(page: string): Snippet[] {
  const text = readFileSync(path.join(ROOT, page), "utf8");
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    name: `${page}:${text.slice(0, match.index).split("\n").length}`,
    language: match[1]!,
    code: match[2]!,
  }));
}

const snippets = PAGES.flatMap(snippetsOf);

/** Each TypeScript block with the text block right after it, which is what it prints. */
const programs = snippets.flatMap((snippet, i) => {
  if (snippet.language !== "ts") return [];
  const next = snippets[i + 1];
  const expected =
    next?.language === "text" && next.name.startsWith(snippet.name.split(":")[0]!) ? next.code : undefined;
  return [{ ...snippet, expected, file: `${snippet.name.replace(/\W/g, "-")}.ts` }];
});

// The programs lie outside the repository, in a project that has the package installed.
const project = mkdtempSync(path.join(tmpdir(), "highrank-snippets-"));
const root = process.cwd();

beforeAll(async () => {
  mkdirSync(path.join(project, "node_modules"));
  symlinkSync(ROOT, path.join(project, "node_modules/highrank"));
  for (const { file, code } of programs) writeFileSync(path.join(project, file), code);
  const options = {
    extends: path.join(ROOT, "tsconfig.json"),
    compilerOptions: { rootDir: "/", typeRoots: [path.join(ROOT, "node_modules/@types")] },
    include: ["*.ts"],
  };
  writeFileSync(path.join(project, "tsconfig.json"), JSON.stringify(options));
  writeFileSync(path.join(project, "package.json"), JSON.stringify({ type: "module" }));
  // They run there too, and the model that they name is a small one of the same name.
  for (const name of ["README.md", "docs", "examples"]) symlinkSync(path.join(ROOT, name), path.join(project, name));
  const chats = readFileSync(path.join(ROOT, "examples/chats.jsonl"), "utf8").split("\n");
  await writeStandIn(path.join(project, "hub"), "HuggingFaceTB/SmolLM2-135M-Instruct", chats);
  vi.stubEnv("HF_HUB_CACHE", path.join(project, "hub"));
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  process.chdir(project);
});

afterAll(() => {
  process.chdir(root);
  rmSync(project, { recursive: true });
});

test("the TypeScript of README and docs has no type error", () => {
  expect(programs.length).toBeGreaterThanOrEqual(4);
  const compiler = path.join(ROOT, "node_modules/typescript/bin/tsc");
  const { stdout } = spawnSync(process.execPath, [compiler, "-p", project], { encoding: "utf8" });
  expect(stdout).toBe("");
});

test.each(programs)("$name runs and prints what stands under it", async ({ file, expected }) => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await import(/* @vite-ignore */ path.join(project, file));
    const printed = log.mock.calls.map((values) => `${values.join(" ")}\n`).join("");
    if (expected === undefined) expect(log).toHaveBeenCalled();
    else expect(printed).toBe(expected);
  } finally {
    log.mockRestore();
  }
});

/** The commands of all shell blocks, one each, continued lines joined. */
const commands = snippets
  .filter(({ language }) => language === "sh")
  .flatMap(({ name, code }) =>
    code
      .replaceAll("\\\n", " ")
      .split(/\n|&&/)
      .map((line) => line.replace(/(^|\s)#.*/, "").trim())
      .filter((line) => line !== "")
      .map((command) => ({ name, command })),
  );
const scripts = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")).scripts as Record<string, string>;

/** Programs that start others. */
const LAUNCHERS = ["mpirun", "srun"];

const helps = new Map<string, ReturnType<typeof runCommand>>();

function helpOf(verbs: readonly string[]): ReturnType<typeof runCommand> {
  const verb = verbs.join(" ");
  if (!helps.has(verb)) helps.set(verb, runCommand([...verbs, "--help", "--all"]));
  return helps.get(verb)!;
}

test.each(commands)("$name: the program, verb and flags of `$command` exist", async ({ command }) => {
  const words = command.match(/"[^"]*"|\S+/g)!.filter((word) => word !== "npx");
  // A launcher's own flags are its own business.
  const [program, ...args] = LAUNCHERS.includes(words[0]!) ? words.slice(words.indexOf("highrank")) : words;
  if (program === "npm") {
    const script = args[0] === "run" ? args[1]! : args[0]!;
    if (!["ci", "install"].includes(script)) expect(scripts).toHaveProperty([script]);
  } else if (program === "highrank") {
    const verbs = args.slice(
      0,
      ["tokenizer", "inspect"].includes(args[0]!) && /^(train|schedule)$/.test(args[1]!) ? 2 : 1,
    );
    const { code, stdout } = await helpOf(verbs);
    expect(stdout).toContain(`Usage: highrank ${verbs.join(" ")}`);
    expect(code).toBe(0);
    for (const flag of args.filter((word) => word.startsWith("--")))
      expect(stdout).toMatch(new RegExp(`^ +${flag}\\b`, "m"));
  } else {
    expect(["node", "tsx"]).toContain(program);
    expect(existsSync(path.join(ROOT, args.find((arg) => !arg.startsWith("-"))!))).toBe(true);
  }
});
