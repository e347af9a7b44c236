const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text for an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return pageText(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/**
 * A text from a file as a page may show it: control characters, which HTML forbids, and marks that turn the direction of
 * what follows become U+FFFD.
 */
export function pageText(text: string): string {
  return text.replace(/[^\P{Control}\n\t]|[\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}

/** JSON for a script element: without `<`, nothing in it can end the element. */
export function escapeJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

/** A part of the page with a title and, where it needs explaining, a note; `content` is markup. */
export function card(title: string, note: string, content: string): string {
  const text = note === "" ? "" : `<p>${escapeHtml(note)}</p>`;
  return `<section class="card"><h2>${escapeHtml(title)}</h2>${text}${content}</section>`;
}

/** A table of names and what they are. */
export function pairs(rows: readonly (readonly [string, string])[]): string {
  const cells = rows.map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return `<table class="pairs">${cells.join("")}</table>`;
}

/**
 * A table of numbers below a line of heads; it scrolls where it is wider than its place. Dotted names may go on in the
 * next line after a dot.
 */
export function numbers(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const text = (cell: string): string => escapeHtml(cell).replace(/\.(?=\p{L})/gu, ".<wbr>");
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${text(cell)}</${tag}>`).join("")}</tr>`;
  const body = `${line(head, "th")}${rows.map((row) => line(row, "td")).join("")}`;
  return `<div class="scroll" tabindex="0"><table class="numbers">${body}</table></div>`;
}
