import { describe, expect, test } from "vitest";
import { AREAS } from "./bad-inputs/areas.js";
import { errorsPage } from "./bad-inputs/errors-page.js";
import { messageOf, messages } from "./bad-inputs/message-of.js";

describe.each(AREAS)("$title", ({ rows }) => {
  test.each(rows)("$name", async (row) => {
    await messageOf(row);
  });
});

test("docs/errors.md is current (rewrite it with `npx vitest run tests/bad-inputs -u`)", async () => {
  for (const row of AREAS.flatMap(({ rows }) => rows)) await messageOf(row);
  await expect(errorsPage(AREAS, messages)).toMatchFileSnapshot("../docs/errors.md");
}, 600_000);
