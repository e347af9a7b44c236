import { byId, element, fill } from "../../src/runs/report/browser/elements.ts";

// What all parts of the page use.

export { byId, element, fill };

/** Shows the parts of the form that belong to the choice of a group of radio buttons. */
export function showChosen(group: string, value: string): void {
  for (const part of document.querySelectorAll<HTMLElement>(`[data-for="${group}"]`)) {
    part.hidden = part.dataset.value !== value;
  }
}

export function chosen(group: string): string {
  return document.querySelector<HTMLInputElement>(`input[name="${group}"]:checked`)!.value;
}

export function choose(group: string, value: string): void {
  const input = [...document.querySelectorAll<HTMLInputElement>(`input[name="${group}"]`)].find(
    (each) => each.value === value,
  );
  if (input !== undefined) input.checked = true;
  showChosen(group, chosen(group));
}

/** Calls a listener when another of the group is chosen. */
export function onChoice(group: string, listener: () => void): void {
  for (const input of document.querySelectorAll(`input[name="${group}"]`)) {
    input.addEventListener("change", () => {
      showChosen(group, chosen(group));
      listener();
    });
  }
}

export function onClick(id: string, listener: () => void): void {
  byId(id).addEventListener("click", listener);
}

export function button(text: string, label: string, listener: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", ariaLabel: label }, [text]);
  made.addEventListener("click", listener);
  return made;
}

let asked: Promise<boolean> = Promise.resolve(false);

/** Asks before something goes, one question after another. @param yes what the button says that agrees. */
export function isAgreed(title: string, text: string, yes: string): Promise<boolean> {
  asked = asked.then(() => ask(title, text, yes));
  return asked;
}

function ask(title: string, text: string, yes: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>("question");
  byId("question-title").textContent = title;
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}

/** An error in words: those of the library say all that is needed. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return /allocation failed|out of memory/i.test(error.message)
    ? "That needs more memory than a page may have: take a shorter sequence length, a smaller batch or a smaller model."
    : error.message;
}
