// The script of all pages that are made of the docs: their search.
import "../shell/site.css";
import "./docs.css";
import type MiniSearch from "minisearch";
import { type Hit, OPTIONS } from "./search-options.ts";

/** As many as one looks through. */
const MOST = 12;

const box = document.querySelector<HTMLElement>("search")!;
const input = box.querySelector("input")!;
const list = box.querySelector<HTMLElement>("[role=listbox]")!;
const status = box.querySelector("[role=status]")!;
const indexUrl = new URL(box.dataset.index!, document.baseURI);

let index: Promise<MiniSearch<Hit>> | undefined;

/** Comes when the box is first used. */
function loadIndex(): Promise<MiniSearch<Hit>> {
  index ??= Promise.all([import("minisearch"), fetch(indexUrl).then((answer) => answer.text())]).then(
    ([{ default: MiniSearch }, text]) => MiniSearch.loadJSON<Hit>(text, OPTIONS),
  );
  return index;
}

function option({ title, page, link }: Hit, i: number): HTMLElement {
  const anchor = document.createElement("a");
  Object.assign(anchor, { id: `found-${i}`, role: "option", tabIndex: -1, href: new URL(link, indexUrl).href });
  anchor.setAttribute("aria-selected", "false");
  const where = document.createElement("small");
  where.textContent = page;
  anchor.append(title, where);
  return anchor;
}

const options = (): HTMLAnchorElement[] => [...list.querySelectorAll("a")];
const selected = (): number => options().findIndex((one) => one.ariaSelected === "true");

function select(i: number): void {
  for (const [at, one] of options().entries()) one.ariaSelected = String(at === i);
  const one = options()[i];
  one?.scrollIntoView({ block: "nearest" });
  if (one === undefined) input.removeAttribute("aria-activedescendant");
  else input.setAttribute("aria-activedescendant", one.id);
}

function show(isOpen: boolean): void {
  list.hidden = !isOpen;
  input.ariaExpanded = String(isOpen);
  if (!isOpen) select(-1);
}

async function search(): Promise<void> {
  const asked = input.value.trim();
  const found = asked === "" ? [] : (await loadIndex()).search(asked);
  if (asked !== input.value.trim()) return; // the next letter was faster
  list.replaceChildren(...found.slice(0, MOST).map((hit, i) => option(hit as unknown as Hit, i)));
  status.textContent = asked === "" ? "" : `${found.length === 0 ? "Nothing" : Math.min(found.length, MOST)} found`;
  show(found.length > 0);
  if (found.length > 0) select(0);
}

function close(): void {
  show(false);
  status.textContent = "";
}

input.addEventListener("focus", () => void loadIndex());
input.addEventListener("input", () => void search());
input.addEventListener("keydown", (event) => {
  const count = options().length;
  if (event.key === "ArrowDown" && count > 0) {
    if (list.hidden) show(true);
    select((selected() + 1) % count);
  } else if (event.key === "ArrowUp" && count > 0) {
    select((selected() - 1 + count) % count);
  } else if (event.key === "Enter" && !list.hidden) {
    options()[selected()]?.click();
  } else if (event.key === "Escape" && !list.hidden) {
    close();
  } else {
    return;
  }
  event.preventDefault();
});
box.addEventListener("focusout", ({ relatedTarget }) => {
  if (!box.contains(relatedTarget as Node | null)) close();
});
// A link within the page leaves it open.
list.addEventListener("click", () => close());
document.addEventListener("keydown", (event) => {
  const { target, key, ctrlKey, metaKey, altKey } = event;
  const isTyping =
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
  if (key !== "/" || ctrlKey || metaKey || altKey || isTyping) return;
  event.preventDefault();
  input.focus();
  input.select();
});
box.hidden = false;
