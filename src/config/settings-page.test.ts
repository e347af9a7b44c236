import { expect, test } from "vitest";
import { settingsPage } from "./settings-page.js";

test("docs/settings.md is current (rewrite it with `npx vitest run src/config -u`)", async () => {
  await expect(settingsPage()).toMatchFileSnapshot("../../docs/settings.md");
});
