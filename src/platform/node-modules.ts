/** The built module for a module of this package's sources, which Node.js cannot run; any other module unchanged. */
export function builtModule(url: URL): URL {
  const home = new URL("../", import.meta.url);
  const runsSources = import.meta.url.endsWith(".ts");
  if (!runsSources || !url.href.startsWith(home.href)) return url;
  return new URL(url.href.slice(home.href.length).replace(/\.ts$/, ".js"), new URL("../dist/", home));
}
