import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accessibilityFaults, buildPage, canOpenPages, host, launchChromium } from "./in-chromium.js";

/** A table of a figure as numbers, without its heads. */
async function numbersIn(table: Locator): Promise<number[][]> {
  const rows = await table.locator("tr").all();
  return Promise.all(
    rows.map(async (row) => (await row.locator("th, td").allTextContents()).map((text) => Number.parseFloat(text))),
  );
}

describe.runIf(canOpenPages())("the page of the idea, in Chromium", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "highrank-idea-"));
  const foreign: string[] = [];
  const faults: string[] = [];
  let [browser, server]: [Browser?, Server?] = [];
  let address = "";

  beforeAll(async () => {
    await buildPage("idea", folder);
    server = await host(folder);
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The page with both figures computed. */
  async function opened(): Promise<Page> {
    const page = await browser!.newPage({ reducedMotion: "reduce" });
    page.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(address)) foreign.push(request.url());
    });
    page.on("console", (message) => faults.push(message.text()));
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(`${address}/idea/index.html`);
    await page.locator("#cycles[data-done]").waitFor();
    await page.locator("#grid[data-done]").waitFor();
    return page;
  }

  /** Presses a key on a control of a figure, and waits for what it makes the figure compute. */
  async function press(figure: Locator, name: string, key: string, times = 1): Promise<void> {
    for (let i = 0; i < times; i++) await figure.locator(`[name=${name}]`).press(key);
    await figure.and(figure.page().locator("[data-done]")).waitFor();
  }

  test("ranks of merged adapters add up until the matrix is full; sliders move by keyboard", async () => {
    const page = await opened();
    const figure = page.locator("#cycles");
    await figure.locator("[name=spectrum]").selectOption("even");
    await press(figure, "steps", "ArrowRight", 2);
    const picture = figure.locator("[data-chart=spectrum] svg");
    for (const [key, rank, cycles] of [
      ["ArrowRight", 5, 8],
      ["End", 16, 8],
    ] as const) {
      await press(figure, "rank", key);
      const rows = await numbersIn(figure.locator("tbody"));
      const expected = Array.from({ length: cycles }, (_, i) => [i + 1, rank * (i + 1), Math.min(rank * (i + 1), 32)]);
      expect(rows.map((row) => row.slice(0, 3))).toEqual(expected);
      const [, , , relora, alone] = rows.at(-1)!;
      expect(relora!).toBeLessThan(10);
      // No matrix of that rank is nearer to 32 equal singular values.
      expect(alone!).toBeGreaterThan(100 * Math.sqrt(1 - rank / 32) - 0.1);
      expect(await picture.getAttribute("aria-label")).toContain(`after ${cycles} merges: 32 of 32`);
    }

    const shown = figure.locator("[name=shown]");
    await shown.press("Home");
    await shown.press("ArrowRight");
    expect(await picture.getAttribute("aria-label")).toContain("after 1 merges: 16 of 32");
    await page.close();
  });

  test("requantizing loses updates below half a step; base and delta log keep them", async () => {
    const page = await opened();
    const figure = page.locator("#grid");
    const last = async () => {
      const rows = await figure.locator(".numbers tr").all();
      const [merge, requantized, codes, exact, taken] = await rows.at(-1)!.locator("th, td").allTextContents();
      const [digit, power] = exact!.split("·10⁻") as [string, string];
      const error = Number(digit) * 10 ** -"⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(power);
      const percent = [requantized, codes, taken].map((text) => Number.parseFloat(text!));
      return { merge: Number(merge), percent, error };
    };
    const changed = () => figure.locator(".codes .changed").count();

    const small = await last();
    expect(small.merge).toBe(20);
    expect(small.percent[0]!).toBeGreaterThan(15);
    expect(small.percent[1]!).toBeLessThan(small.percent[0]! / 2);
    expect(small.percent[2]!).toBeLessThan(5);
    expect(small.error).toBeLessThan(1e-6);
    expect(await changed()).toBe(0);

    await press(figure, "size", "End");
    await press(figure, "merges", "End");
    const large = await last();
    expect(large.merge).toBe(40);
    expect(large.percent[2]!).toBeGreaterThan(50);
    expect(large.error).toBeLessThan(1e-6);
    expect(await changed()).toBeGreaterThan(50);

    // The steps of int8 are smaller than one percent of the deviation.
    await press(figure, "size", "Home");
    await press(figure, "size", "ArrowRight", 5);
    await figure.locator("[name=format]").selectOption("int8");
    await press(figure, "merges", "ArrowLeft");
    expect((await last()).percent[2]!).toBeGreaterThan(80);
    await page.close();
  });

  test("every cell runs and prints what the docs say", async () => {
    const page = await opened();
    const cells = await page.locator(".cell").all();
    const stated = await Promise.all(cells.map((cell) => cell.locator(".output").textContent()));
    expect(stated.map((text) => text !== "")).toEqual([true, false, true, false, true, false, false, false, false]);
    for (const cell of cells) await cell.locator(".run").click();
    const printed: string[] = [];
    for (const cell of cells) {
      await cell.locator(".state", { hasText: /^ran|failed|stopped|cannot/ }).waitFor({ timeout: 100_000 });
      printed.push(`${await cell.locator(".output").textContent()}`.trim());
    }
    expect(printed).toEqual([
      stated[0],
      "same output: true",
      stated[2],
      "W + ΔW: true",
      stated[4],
      "",
      "directions: [ 4, 8, 12, 16 ]",
      expect.stringMatching(/^nf4: \d %.*\nfp4: \d %.*\nint8: 9\d %/),
      "merged after steps 80, 120, 160\nit has learned: true",
    ]);
    expect(await page.locator(".cell img").count()).toBe(3);

    // A cell that was changed, one that fails, and one that never ends.
    const [first] = cells as [Locator];
    const code = first.locator(".code");
    const state = first.locator(".state");
    const run = async (text: string) => {
      await code.fill(text);
      await first.locator(".run").click();
    };
    await run('import { Rng } from "highrank";\nconst two: number = 2;\nconsole.log(new Rng(0) instanceof Rng, two);');
    await state.getByText(/^ran/).waitFor();
    expect(await first.locator(".output").textContent()).toBe("true 2\n");
    await run('import { LoRAAdapter, Rng } from "highrank";\nnew LoRAAdapter(4, 4, { rank: 9 }, new Rng(0));');
    await state.getByText("failed").waitFor();
    expect(await first.locator(".output").textContent()).toMatch(/^ConfigError: .*rank/);
    await code.fill("console.log(1)");
    await code.press("Enter");
    await code.pressSequentially("console.log(2)");
    await first.locator(".run").click();
    await state.getByText(/^ran/).waitFor();
    expect(await first.locator(".output").textContent()).toBe("1\n2\n");
    await run("for (;;);");
    await state.getByText("runs").waitFor();
    await first.locator(".run").click();
    expect(await state.textContent()).toBe("stopped");
    await first.getByText("Original code").click();
    await first.locator(".run").click();
    await state.getByText(/^ran/).waitFor();
    expect(`${await first.locator(".output").textContent()}`.trim()).toBe(stated[0]);
    await page.close();
  });

  test("accessible and within its width, light and dark; nothing comes from elsewhere", async () => {
    const page = await opened();
    await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      // The page follows its window in a while.
      await expect.poll(() => page.evaluate("document.documentElement.scrollWidth")).toBe(width);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await accessibilityFaults(page)).toEqual([]);
      }
    }
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  });
});
