import { expect, expectTypeOf, test } from "vitest";
import type { Settings } from "./settings.js";
import { settingsInterface } from "./settings-interface.js";
import { settingsPage } from "./settings-page.js";
import type { TrainSettings } from "./train-settings.js";

test("docs/settings.md is current (rewrite it with `npx vitest run src/config -u`)", async () => {
  await expect(settingsPage()).toMatchFileSnapshot("../../docs/settings.md");
});

test("train-settings.ts is current, and its types are those of the settings", async () => {
  await expect(settingsInterface()).toMatchFileSnapshot("train-settings.ts");
  type Mapping = Readonly<Record<string, string | number>>; // of a list of pairs
  type Differing = {
    [K in keyof Settings]: [Exclude<TrainSettings[K], undefined | Mapping>, Settings[K]] extends [
      Settings[K],
      infer Given,
    ]
      ? [Given] extends [Exclude<TrainSettings[K], undefined>]
        ? never
        : K
      : K;
  }[keyof Settings];
  expectTypeOf<Differing>().toBeNever();
  expectTypeOf<keyof TrainSettings>().toEqualTypeOf<keyof Settings>();
});
