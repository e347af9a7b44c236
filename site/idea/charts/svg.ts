type Attributes = Readonly<Record<string, string | number>>;

/** An SVG element. */
export function svg(name: string, attributes: Attributes = {}, children: readonly (Node | string)[] = []): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, `${value}`);
  element.append(...children);
  return element;
}

/** A picture in the size of its place, so that its text has the size of the page's. */
export function picture(label: string, width: number, height: number, children: readonly Node[]): SVGElement {
  return svg("svg", { role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, width, height }, children);
}

export function text(x: number, y: number, words: string, attributes: Attributes = {}): SVGElement {
  return svg("text", { x, y, ...attributes }, [words]);
}

/** Draws into a place again whenever its width changes. The function returned draws at once. */
export function drawnIn(place: HTMLElement, draw: (width: number) => Node | undefined): () => void {
  let width = 0;
  const redraw = () => {
    const drawn = width > 0 ? draw(width) : undefined;
    if (drawn !== undefined) place.replaceChildren(drawn);
  };
  new ResizeObserver(([entry]) => {
    const next = Math.floor(entry!.contentRect.width);
    if (next === width) return;
    width = next;
    redraw();
  }).observe(place);
  return redraw;
}
