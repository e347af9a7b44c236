import type { RunUpdate } from "../page-data.js";
import { byId } from "./elements.js";
import type { RunsPage } from "./runs-page.js";

/** Keeps the page up to date by the events that its server sends. */
export function follow(address: string, page: RunsPage): void {
  const source = new EventSource(address);
  const told = byId("connection");
  const onEvent = <T>(name: string, take: (data: T) => void): void =>
    source.addEventListener(name, (event) => take(JSON.parse((event as MessageEvent<string>).data)));
  onEvent<RunUpdate>("run", (update) => page.update(update));
  onEvent<{ ids: string[]; note: string }>("list", ({ ids, note }) => {
    byId("note").textContent = note;
    page.keep(ids);
  });
  source.addEventListener("open", () => {
    told.textContent = "";
  });
  source.addEventListener("error", () => {
    told.textContent = "Not connected: the command that serves this page has ended. What was last heard stays.";
  });
}
