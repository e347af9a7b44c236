import type { Plugin } from "vite";
import { ideaContent } from "./content.ts";

/** Puts the text of the page, made of the notebook's Markdown, in the place of a comment. */
export const IDEA: Plugin = {
  name: "idea-page",
  transformIndexHtml: {
    order: "pre",
    handler: async (page, { path }) =>
      path.endsWith("/idea/index.html")
        ? page.replace("<!-- the idea -->", (await ideaContent()).replaceAll("$", "$$$$"))
        : page,
  },
};
