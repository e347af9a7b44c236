import { readFileSync } from "node:fs";
import type { Plugin, ViteDevServer } from "vite";

/** Home, docs and sources, made anew for each request while one writes them. The API and the search come with a build. */
export const DOCS: Plugin = {
  name: "site-docs",
  configureServer(server) {
    server.middlewares.use((request, answer, next) => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      const place = pathname.slice(1).replace(/(?<=^|\/)$/, "index.html");
      if (!/^(index\.html$|docs\/.*\.(html|png|svg)$|source\/)/.test(place)) return next();
      contentOf(place, server).then((content) => {
        if (content === undefined) return next();
        if (place.endsWith(".svg")) answer.setHeader("Content-Type", "image/svg+xml"); // else the browser looks itself
        answer.end(content);
      }, next);
    });
  },
};

async function contentOf(place: string, server: ViteDevServer): Promise<string | Buffer | undefined> {
  // Loaded as the pages' own code is, so that a change of it shows as well.
  const load = <T>(file: string): Promise<T> => server.ssrLoadModule(`/docs/${file}`) as Promise<T>;
  const { docsPages } = await load<typeof import("./pages.ts")>("pages.ts");
  const { homePage } = await load<typeof import("./home.ts")>("home.ts");
  const { layOut } = await load<typeof import("./layout.ts")>("layout.ts");
  const { codeStyles } = await load<typeof import("./markdown.ts")>("markdown.ts");
  const { pages, files } = docsPages();
  const file = files.get(place);
  if (file !== undefined) return readFileSync(file);
  const page = [homePage(), ...pages].find((one) => one.place === place);
  if (page === undefined) return undefined;
  const html = layOut(page, { script: "docs/docs.ts", styles: [] });
  const styled = html.replace("</head>", () => `<style>${codeStyles()}</style>\n</head>`);
  return server.transformIndexHtml(`/${place}`, styled);
}
