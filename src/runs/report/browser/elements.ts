type Children = readonly (Node | string)[];

/** An element with properties and children; texts are texts, never markup. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]> = {},
  children: Children = [],
): HTMLElementTagNameMap[Tag] {
  const made = Object.assign(document.createElement(tag), properties);
  fill(made, children);
  return made;
}

/** Gives an element these children in place of those that it has. */
export function fill(place: HTMLElement, children: Children): void {
  place.textContent = "";
  for (const child of children) place.append(child);
}

/** The element of the page with this id, which the page has. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** A table with a line of heads and a header in each row. It is a part of the page that can be scrolled. */
export function table(name: string, head: readonly string[], rows: readonly Children[]): HTMLElement {
  const headCells = head.map((text) => element("th", { scope: "col" }, [text]));
  const bodyRows = rows.map(([first, ...cells]) => {
    const header = element("th", { scope: "row" }, [first!]);
    return element("tr", {}, [header, ...cells.map((cell) => element("td", {}, [cell]))]);
  });
  const made = element("table", { className: "numbers" }, [
    element("thead", {}, [element("tr", {}, headCells)]),
    element("tbody", {}, bodyRows),
  ]);
  // What can be scrolled must be reached by keys.
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: name }, [made]);
}

/** A part of the page with a title. */
export function card(title: string, children: Children): HTMLElement {
  return element("section", { className: "card" }, [element("h2", {}, [title]), ...children]);
}

/** The value of a variable of the page's style. */
export function styleVariable(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
