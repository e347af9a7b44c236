import { existsSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  Application,
  type Context,
  Converter,
  type DeclarationReflection,
  JSX,
  PageEvent,
  ReflectionKind,
  RendererEvent,
  UnknownType,
} from "typedoc";
import type { Node } from "typescript";
import { type Assets, type Link, layOut, withColumns } from "./layout.ts";
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

/** What has names instead of members. */
const LISTS = ReflectionKind.Project | ReflectionKind.Module | ReflectionKind.Namespace;

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
    useFirstParagraphOfCommentAsSummary: true,
    logLevel: "Error",
  });
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, showAsWritten);
  // A module is called what a program imports.
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }: Context) => {
    for (const module of project.children ?? []) {
      module.name = module.name === "index" ? "highrank" : `highrank/${module.name}`;
    }
  });
  const project = await app.convert();
  if (project?.children === undefined) throw new Error("TypeDoc read no API from dist/, which npm run build writes.");

  const placeOf = (reflection: DeclarationReflection): string => `api/${app.renderer.router!.getFullUrl(reflection)}`;
  app.renderer.hooks.on("content.begin", () => JSX.createElement(JSX.Raw, { html: BEGIN }));
  app.renderer.hooks.on("content.end", () => JSX.createElement(JSX.Raw, { html: END }));
  app.renderer.on(PageEvent.END, (page: PageEvent) => {
    const place = `api/${page.url}`;
    const modules = project.children!.map(({ name }, i) => [placeOf(project.children![i]!), name] as const);
    // A list of names has its groups as parts, any other page its members.
    const isList = page.isReflectionEvent() && page.model.kindOf(LISTS);
    const outline = page.pageSections.flatMap(({ title, headings }): Link[] =>
      isList && title !== ""
        ? [[`#${title.toLowerCase().replaceAll(" ", "-")}`, title]]
        : headings.map(({ link, text }) => [link, text]),
    );
    const body = withColumns(place, {
      list: { label: "API", groups: [["Modules", modules.map(([to, name]) => [linkBetween(place, to), name])]] },
      main: plain(page.contents!.split(BEGIN)[1]!.split(END)[0]!),
      outline,
    });
    page.contents = layOut({ place, title: page.model.name, body }, assets);
  });
  const names: ApiName[] = [];
  app.renderer.on(RendererEvent.END, () => {
    for (const reflection of project.getReflectionsByKind(KINDS) as DeclarationReflection[]) {
      if (!reflection.parent?.kindOf(LISTS)) continue;
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

/** More than this many characters of a type say nothing to a reader. */
const LONG_TYPE = 120;

/** A type that TypeDoc spells out at length, such as that of a setting, stands as it does in the source. */
function showAsWritten(context: Context, reflection: DeclarationReflection): void {
  if ((reflection.type?.toString().length ?? 0) < LONG_TYPE) return;
  const declaration = context.getSymbolFromReflection(reflection)?.valueDeclaration;
  const written =
    declaration !== undefined && "type" in declaration ? (declaration.type as Node | undefined) : undefined;
  if (written !== undefined) reflection.type = new UnknownType(written.getText());
}

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
