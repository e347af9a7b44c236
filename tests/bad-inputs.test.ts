import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { AREAS } from "./bad-inputs/areas.js";
import { messageOf } from "./bad-inputs/message-of.js";

/** Every eighth row of each area; the suite "crash" makes the calls of all of them. */
const SOME = AREAS.map(({ title, rows }) => ({ title, rows: rows.filter((_, index) => index % 8 === 0) }));
const page = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");

describe.each(SOME)("$title", ({ rows }) => {
  test.each(rows)("$name", async (row) => {
    expect(page).toContain(await messageOf(row));
  });
});
