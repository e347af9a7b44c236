/** Shows the value of each slider beside it, and calls back when one of them or a choice changes. */
export function watchControls(
  form: HTMLFormElement,
  shown: Readonly<Record<string, (value: number) => string>>,
  onChange: () => void,
): void {
  const update = () => {
    for (const [name, format] of Object.entries(shown)) {
      const slider = form.elements.namedItem(name) as HTMLInputElement;
      const words = format(slider.valueAsNumber);
      slider.closest("label")!.querySelector("output")!.value = words;
      slider.setAttribute("aria-valuetext", words);
    }
    onChange();
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
}

/** The value of a control of a form. */
export function chosen(form: HTMLFormElement, name: string): string {
  return (form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement).value;
}

/** A row of a table; the first cell heads it. */
export function row(cells: readonly string[]): HTMLTableRowElement {
  const element = document.createElement("tr");
  element.append(
    ...cells.map((words, i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      if (i === 0) cell.scope = "row";
      cell.textContent = words;
      return cell;
    }),
  );
  return element;
}
