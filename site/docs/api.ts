import { existsSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Application, type DeclarationReflection, JSX, PageEvent, ReflectionKind, RendererEvent } from "typedoc";
import { type Assets, layOut, withColumns } from "./layout.ts";
import { linkBetween } from "./places.ts";
import type { ApiName } from "./search-index.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The kinds of names that people look for. */
const KINDS =
  ReflectionKind.Class |
  ReflectionKind.Interface |
  ReflectionKind.Function |
  ReflectionKind.TypeAlias |
  ReflectionKind.Variable;

/**
 * Writes the pages of the API. TypeDoc reads the doc comments, in the built declarations: their types are worked out
 * already, which halves the time. Of its pages the content is taken, into the layout of all others.
 * @returns every name of the API with its page.
 */
export async function writeApi(site: string, assets: Assets): Promise<readonly ApiName[]> {
  const rooms = readdirSync(here("../../dist")).filter((name) => existsSync(here(`../../dist/${name}/index.d.ts`)));
  const app = await Application.bootstrap({
    name: "API",
    entryPoints: ["index.d.ts", ...rooms.map((room) => `${room}/index.d.ts`)].map((file) => here(`../../dist/${file}`)),
    tsconfig: here("api.tsconfig.json"),
    readme: "none",
    ...{ skipErrorChecking: true, disableSources: true, validation: false, includeHierarchySummary: false },
    ...{ excludePrivate: true, excludeInternal: true, excludeExternals: true },
    logLevel: "Error",
  });
  const project = await app.convert();
  if (project?.children === undefined) throw new Error("TypeDoc read no API from dist/, which npm run build writes.");
  // A module is called what a program imports.
  for (const module of project.children) module.name = module.name === "index" ? "highrank" : `highrank/${module.name}`;
  project.children.sort((a, b) => (a.name < b.name ? -1 : 1));

  const placeOf = (reflection: DeclarationReflection): string => `api/${app.renderer.router!.getFullUrl(reflection)}`;
  app.renderer.hooks.on("content.begin", () => JSX.createElement(JSX.Raw, { html: BEGIN }));
  app.renderer.hooks.on("content.end", () => JSX.createElement(JSX.Raw, { html: END }));
  app.renderer.on(PageEvent.END, (page: PageEvent) => {
    const place = `api/${page.url}`;
    const modules = project.children!.map(({ name }, i) => [placeOf(project.children![i]!), name] as const);
    const headings = page.pageSections.flatMap((section) => section.headings);
    const body = withColumns(place, {
      list: { label: "API", groups: [["Modules", modules.map(([to, name]) => [linkBetween(place, to), name])]] },
      main: plain(page.contents!.split(BEGIN)[1]!.split(END)[0]!),
      outline: headings.map(({ link, text }) => [link, text]),
    });
    page.contents = layOut({ place, title: page.model.name, body }, assets);
  });
  const names: ApiName[] = [];
  app.renderer.on(RendererEvent.END, () => {
    for (const reflection of project.getReflectionsByKind(KINDS) as DeclarationReflection[]) {
      if (!reflection.parent?.kindOf(ReflectionKind.Module | ReflectionKind.Namespace)) continue;
      const comment = reflection.comment ?? reflection.signatures?.[0]?.comment;
      names.push({
        name: reflection.name,
        kind: ReflectionKind.singularString(reflection.kind).toLowerCase(),
        place: placeOf(reflection),
        text: comment?.summary.map(({ text }) => text).join("") ?? "",
      });
    }
  });
  await app.generateDocs(project, `${site}/api`);
  if (app.logger.hasErrors()) throw new Error("TypeDoc wrote no pages of the API; it says why above.");
  rmSync(`${site}/api/assets`, { recursive: true }); // scripts and styles of its own layout
  return names;
}

const [BEGIN, END] = ["<!-- content -->", "<!-- end of content -->"];

/** TypeDoc's content without its icons, what folds, and links for copying; headings go down by one level at a time. */
function plain(content: string): string {
  const open: number[] = [];
  return content
    .replace(/<a href="[^"]*" aria-label="Permalink"[^>]*>.*?<\/a>|<svg\b.*?<\/svg>/gs, "")
    .replace(/<(\/?)(?:details|summary)\b( class="[^"]*")?[^>]*>/g, "<$1div$2>")
    .replace(/<(\/?)h([1-6])\b/g, (_, slash, level) => {
      if (slash === "") {
        while ((open.at(-1) ?? 0) >= Number(level)) open.pop();
        open.push(Number(level));
      }
      return `<${slash}h${open.length}`;
    });
}
