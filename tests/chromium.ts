import { existsSync } from "node:fs";

/** Debian's Chromium. */
export function hasChromium(): boolean {
  const isInstalled = process.env.CI === "true" || existsSync("/usr/lib/chromium");
  if (!isInstalled) console.warn("SKIPPED: exports in a browser need Debian's package chromium");
  return isInstalled;
}
