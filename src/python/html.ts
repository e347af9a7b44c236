import { charactersOf, isText, List, Markup, str, type Value } from "./values.js";

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  ">": "&gt;",
  "<": "&lt;",
  "'": "&#39;",
  '"': "&#34;",
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>'"]/g, (char) => ENTITIES[char]!);
}

/** `markupsafe.escapeValue(value)`: what is safe already stays as it is. */
export function escapeValue(value: Value): Markup {
  return value instanceof Markup ? value : new Markup(escapeHtml(str(value)));
}

/** `markupsafe.soft_str(value)`: a text that is safe stays so. */
export function softText(value: Value): string | Markup {
  return isText(value) ? value : str(value);
}

/** The result of a method of a text: safe if the text was. */
export function like(text: string | Markup, result: Value): Value {
  if (typeof text === "string") return result;
  if (typeof result === "string") return new Markup(result);
  return result instanceof List ? new List(result.items.map((item) => like(text, item))) : result;
}

/** A value as a safe text takes it in: escaped, unless it is safe too. */
export function takenInto(text: string | Markup, value: Value): Value {
  return typeof text === "string" || !isText(value) ? value : charactersOf(escapeValue(value));
}
