import { cpSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Rollup } from "vite";
import { writeApi } from "./docs/api.ts";
import { homePage } from "./docs/home.ts";
import { type Assets, layOut } from "./docs/layout.ts";
import { linkFaults } from "./docs/links.ts";
import { codeStyles } from "./docs/markdown.ts";
import { docsPages } from "./docs/pages.ts";
import { searchIndex } from "./docs/search-index.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * Builds the whole site into a folder.
 * @throws Error that names each link that leads nowhere.
 */
export async function buildSite(site = here("dist")): Promise<void> {
  const write = (place: string, content: string): void => {
    mkdirSync(join(site, dirname(place)), { recursive: true });
    writeFileSync(join(site, place), content);
  };
  const assets = await buildPagesWithCode(site);
  const { pages, files, texts } = docsPages();
  const home = homePage();
  const styles = [...assets.styles, "assets/code.css"];
  write("assets/code.css", codeStyles());
  for (const page of [home, ...pages]) write(page.place, layOut(page, { ...assets, styles }));
  for (const [place, file] of files) {
    mkdirSync(join(site, dirname(place)), { recursive: true });
    cpSync(file, join(site, place));
  }
  write("search.json", searchIndex(texts, await writeApi(site, { ...assets, styles })));
  const faults = linkFaults(site);
  if (faults.length > 0) throw new Error(`The site has links that lead nowhere:\n${faults.join("\n")}`);
  const all = readdirSync(site, { recursive: true, encoding: "utf8" }).map((name) => statSync(join(site, name)));
  const bytes = all.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
  const count = all.filter((file) => file.isFile()).length;
  console.log(`${site}: ${count} files, ${(bytes / 1e6).toFixed(1)} MB; every link leads somewhere`);
}

/** Builds the pages with code. → the script and styles that all other pages load. */
async function buildPagesWithCode(site: string): Promise<Assets> {
  const { output } = (await build({
    configFile: here("vite.config.ts"),
    logLevel: "warn",
    build: { outDir: site, emptyOutDir: true, reportCompressedSize: false },
  })) as Rollup.RollupOutput;
  const entry = output.find((part) => part.type === "chunk" && part.isEntry && part.name === "docs");
  if (entry?.type !== "chunk") throw new Error("site/vite.config.ts must have docs/docs.ts among its inputs.");
  return { script: entry.fileName, styles: [...(entry.viteMetadata?.importedCss ?? [])] };
}
