import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Application, type DeclarationReflection, JSX, PageEvent, ReflectionKind, RendererEvent } from "typedoc";
import { siteHeader } from "../shell/header.ts";
import { topOf } from "./places.ts";
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
 * Writes the pages of the API, of the doc comments in the built declarations: their types are worked out already, which
 * halves the time.
 * @param styles the site's styles, from its top.
 * @returns every name of the API with its page.
 */
export async function writeApi(site: string, styles: readonly string[]): Promise<readonly ApiName[]> {
  const rooms = readdirSync(here("../../dist")).filter((name) => existsSync(here(`../../dist/${name}/index.d.ts`)));
  const app = await Application.bootstrap({
    name: "highrank",
    entryPoints: ["index.d.ts", ...rooms.map((room) => `${room}/index.d.ts`)].map((file) => here(`../../dist/${file}`)),
    tsconfig: here("api.tsconfig.json"),
    customCss: here("api.css"),
    readme: "none",
    ...{ skipErrorChecking: true, disableSources: true, hideGenerator: true, validation: false },
    ...{ excludePrivate: true, excludeInternal: true, excludeExternals: true },
    logLevel: "Error",
  });
  app.renderer.hooks.on("head.begin", ({ page }) => {
    const top = topOf(`api/${page.url}`);
    return JSX.createElement(
      JSX.Fragment,
      null,
      ...styles.map((style) => JSX.createElement("link", { rel: "stylesheet", href: top + style })),
    );
  });
  app.renderer.hooks.on("body.begin", ({ page }) =>
    JSX.createElement(JSX.Raw, { html: siteHeader(topOf(`api/${page.url}`), "api/") }),
  );
  app.renderer.on(PageEvent.END, (page: PageEvent) => {
    page.contents = page.contents!.replace(
      '<div class="col-content">',
      '<div class="col-content" id="main" role="main">',
    );
  });
  const names: ApiName[] = [];
  app.renderer.on(RendererEvent.END, ({ project }: RendererEvent) => {
    for (const reflection of project.getReflectionsByKind(KINDS) as DeclarationReflection[]) {
      if (!reflection.parent?.kindOf(ReflectionKind.Module | ReflectionKind.Namespace)) continue;
      const comment = reflection.comment ?? reflection.signatures?.[0]?.comment;
      names.push({
        name: reflection.name,
        kind: ReflectionKind.singularString(reflection.kind).toLowerCase(),
        place: `api/${app.renderer.router!.getFullUrl(reflection)}`,
        text: comment?.summary.map(({ text }) => text).join("") ?? "",
      });
    }
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("TypeDoc read no API from dist/, which npm run build writes.");
  await app.generateDocs(project, `${site}/api`);
  if (app.logger.hasErrors()) throw new Error("TypeDoc wrote no pages of the API; it says why above.");
  return names;
}
