import { appendFile, cp, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withFolder } from "../../../tests/run-command.js";
import { ConfigError } from "../../base/errors.js";
import { formatMetricsLine, type StepRecord } from "../../runs/metrics.js";
import type { RunUpdate } from "../../runs/report/page-data.js";
import { FollowedFolder } from "./followed-folder.js";
import { FollowedRun, type Heard } from "./followed-run.js";
import { KeptRecords } from "./kept-records.js";
import { type Watching, watch } from "./watch.js";

const step = (number: number): StepRecord => ({
  kind: "step",
  step: number,
  tokens: number * 100,
  loss: 5,
  learningRate: 1e-3,
  gradNorm: 1,
  tokensPerSecond: 100,
  seconds: number,
  cycle: 0,
  phase: "full",
});

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => formatMetricsLine(step(from + index))).join("");

const SETTINGS = JSON.stringify({ model: "tiny", method: "lora", rank: 8 });

function run(name: string, steps: number): Record<string, string> {
  return { [`${name}/config.resolved.json`]: SETTINGS, [`${name}/metrics.jsonl`]: lines(1, steps) };
}

let open: Watching[] = [];
beforeEach(() => {
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map((each) => each.close()));
});

async function watching(folder: string): Promise<Watching> {
  const page = await watch(folder, { port: 0 });
  open.push(page);
  return page;
}

type Event = { readonly event: string; readonly data: unknown };

/** The events of a page, one after another. */
async function* eventsOf({ url }: Watching): AsyncGenerator<Event> {
  const { body } = await fetch(`${url}/events`);
  let text = "";
  for await (const chunk of body!) {
    text += Buffer.from(chunk).toString();
    const parts = text.split("\n\n");
    text = parts.pop()!;
    for (const part of parts) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(part)!;
      yield { event: event!, data: JSON.parse(data!) };
    }
  }
}

test("a page hears of each run once, and then of what was added", async () => {
  await withFolder({ ...run("runs/a", 3), ...run("runs/b", 1) }, async (root) => {
    const events = eventsOf(await watching(`${root}/runs`));
    const next = async () => (await events.next()).value as { event: string; data: RunUpdate & { ids: string[] } };
    expect((await next()).data.ids.sort()).toEqual(["a", "b"]);
    const first = [await next(), await next()].map(({ data }) => [data.id, data.from, data.steps.step]);
    expect(first.sort()).toEqual([
      ["a", 0, [1, 2, 3]],
      ["b", 0, [1]],
    ]);
    await appendFile(`${root}/runs/a/metrics.jsonl`, lines(4, 5));
    const { data } = await next();
    expect([data.id, data.from, data.steps.step, data.facts.step]).toEqual(["a", 3, [4, 5], 5]);
    await mkdir(`${root}/runs/c`);
    await writeFile(`${root}/runs/c/config.resolved.json`, SETTINGS);
    expect((await next()).data.ids.sort()).toEqual(["a", "b", "c"]);
    expect((await next()).data).toMatchObject({ id: "c", state: "not finished", title: "c: lora of tiny" });
    await rm(`${root}/runs/b`, { recursive: true });
    expect((await next()).data.ids.sort()).toEqual(["a", "c"]);
    await events.return(undefined);
  });
});

test("a page hears anew of a run that was gone and is back under its name", async () => {
  await withFolder(run("runs/a", 3), async (root) => {
    const events = eventsOf(await watching(`${root}/runs`));
    const next = async () => (await events.next()).value as { event: string; data: RunUpdate & { note: string } };
    expect((await next()).data).toEqual({ ids: ["a"], note: "" });
    expect((await next()).data.steps.step).toEqual([1, 2, 3]);
    await rename(`${root}/runs/a`, `${root}/a`);
    const note = `The runs in ${root}/runs are gone; others appear here when they begin.`;
    expect((await next()).data).toEqual({ ids: [], note });
    await rename(`${root}/a`, `${root}/runs/a`);
    expect((await next()).data).toEqual({ ids: ["a"], note: "" });
    const { data } = await next();
    expect([data.id, data.state, data.from, data.steps.step]).toEqual(["a", "not finished", 0, [1, 2, 3]]);
    await events.return(undefined);
  });
});

test("the page is served to this machine's own programs alone, and holds nothing of the runs", async () => {
  await withFolder(run("runs/a", 3), async (root) => {
    const { url } = await watching(`${root}/runs`);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const page = await (await fetch(url)).text();
    expect(page).toContain("connect-src 'self'");
    expect(page).not.toContain("lora of tiny");
    expect((await fetch(`${url}/events`, { headers: { origin: "http://evil.example" } })).status).toBe(403);
    expect((await fetch(`${url}/favicon.ico`)).status).toBe(204);
  });
});

test("a folder that is not there is refused, except the one that train makes", async () => {
  await withFolder({ file: "" }, async (root) => {
    await expect(watch(`${root}/runs`)).rejects.toThrow(ConfigError);
    await expect(watch(`${root}/file`)).rejects.toThrow(
      "is no folder; name the folder of a run, or one that holds runs",
    );
    await expect(watch(root, { port: -1 })).rejects.toThrow("port must be a number of 0 or more");
  });
});

/** What a page hears of the runs in a folder, at one look. */
async function looked(folder: FollowedFolder): Promise<RunUpdate[]> {
  await folder.look();
  const updates: RunUpdate[] = [];
  for (const each of folder.runs) {
    await each.look();
    updates.push(each.news(undefined)!.update);
  }
  return updates;
}

test("runs of a study are found, the newest first; links that lead round in circles do no harm", async () => {
  const files = {
    ...run("one/runs/arm/seed-0", 1),
    ...run("two", 1),
    "two/env.json": '{"started":"2026-01-02T00:00:00Z"}',
    "one/runs/arm/seed-0/env.json": '{"started":"2026-01-03T00:00:00Z"}',
    ...run(".hidden", 1),
  };
  await withFolder(files, async (root) => {
    await symlink(root, `${root}/circle`);
    const folder = new FollowedFolder(root);
    await folder.look();
    expect(folder.runs.map(({ id }) => id)).toEqual(["one/runs/arm/seed-0", "two"]);
    expect(folder.note).toBe("");
  });
  await withFolder({}, async (root) => {
    const empty = new FollowedFolder(root);
    await empty.look();
    expect(empty.note).toBe(`There are no runs in ${root} yet; they appear here when they begin.`);
  });
});

test("damaged and hostile folders are shown with a word, beside the others", async () => {
  const hostile = "\u202egnp.exe<script>alert(1)</script>";
  const files = {
    ...run("fine", 2),
    ...run("lines", 2),
    ...run("settings", 2),
    ...run("link", 0),
    "texts/config.resolved.json": JSON.stringify({ model: hostile, method: "lora", samplePrompt: hostile }),
    "texts/metrics.jsonl": formatMetricsLine({
      kind: "eval",
      step: 0,
      loss: 5,
      perplexity: 150,
      tokens: 1,
      sample: "",
      samples: [{ messages: [{ role: hostile, content: hostile }], text: hostile, reference: hostile }],
    }),
  };
  await withFolder(files, async (root) => {
    await appendFile(`${root}/lines/metrics.jsonl`, 'nonsense\n{"kind":"step"}\n');
    await writeFile(`${root}/settings/config.resolved.json`, "{");
    await rm(`${root}/link/metrics.jsonl`);
    await symlink("/etc/hostname", `${root}/link/metrics.jsonl`);
    const found = new Map((await looked(new FollowedFolder(root))).map((update) => [update.id, update]));
    expect(found.get("fine")).toMatchObject({ state: "not finished", sections: { warnings: "" } });
    expect(found.get("lines")).toMatchObject({ state: "not finished, damaged", steps: { step: [1, 2] } });
    expect(found.get("lines")!.sections!.warnings).toContain(
      "2 lines are not records and are left out; line 3: not JSON",
    );
    expect(found.get("settings")).toMatchObject({ state: "unreadable", settings: [] });
    expect(found.get("settings")!.sections!.summary).toMatch(/Outcome.*unreadable/);
    expect(found.get("link")).toMatchObject({ state: "unreadable" });
    expect(found.get("link")!.sections!.warnings).toContain("leads out of the folder");
    const texts = found.get("texts")!;
    expect(texts.title).toBe("texts: lora of \ufffdgnp.exe<script>alert(1)</script>");
    const { samples, settings } = texts.sections!;
    expect(samples.match(/\ufffdgnp\.exe&lt;script&gt;/g)).toHaveLength(4);
    expect(samples + settings).not.toMatch(/<script|\u202e/);
  });
});

test("a run that is resumed, moved or gone between two looks is told as it is", async () => {
  await withFolder(run("a", 4), async (root) => {
    const followed = new FollowedRun("a", `${root}/a`);
    const heardOf = async (heard?: Heard) => {
      await followed.look();
      return followed.news(heard);
    };
    const first = await heardOf();
    expect(await heardOf(first!.heard)).toBeNull();
    // A resume cuts the records and goes on.
    await writeFile(`${root}/a/metrics.jsonl`, lines(1, 2) + lines(3, 3).replace('"loss":5', '"loss":4'));
    const resumed = await heardOf(first!.heard);
    expect([resumed!.update.from, resumed!.update.steps.loss]).toEqual([0, [5, 5, 4]]);
    await rename(`${root}/a`, `${root}/b`);
    expect(await heardOf(resumed!.heard)).toBeNull();
    await cp(`${root}/b`, `${root}/a`, { recursive: true });
    await appendFile(path.join(root, "a/metrics.jsonl"), lines(4, 4));
    expect((await heardOf(resumed!.heard))!.update.facts.step).toBe(4);
  });
});

test("of a long run, what warnings are made of is kept in bounded memory", () => {
  const kept = new KeptRecords();
  for (let each = 1; each <= 50_000; each++) {
    kept.add(step(each));
    if (each % 1000 === 0) kept.add({ kind: "reset", step: each, zeroedFraction: 1 });
  }
  const steps = kept.all.filter(({ kind }) => kind === "step").map((record) => record.step);
  expect(kept.all.length).toBeLessThan(7000);
  expect([steps[0], steps[1000], steps.at(-2000), steps.at(-1)]).toEqual([1, 1001, 48_001, 50_000]);
  expect(kept.all.filter(({ kind }) => kind === "reset")).toHaveLength(50);
});
