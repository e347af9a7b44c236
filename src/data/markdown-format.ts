import { withoutBlanks } from "./text-format.js";

/**
 * Documents of a `.md` file: its sections, each from one heading (`#`) to the next. A heading with nothing under it
 * stays with the following text; `#` inside fenced code is no heading.
 */
export function markdownDocuments(text: string): string[] {
  const sections: string[] = [];
  let lines: string[] = [];
  let hasBody = false;
  let fence: string | undefined;
  for (const line of text.replace(/\r\n?/g, "\n").split("\n")) {
    const isHeading = fence === undefined && /^ {0,3}#{1,6}(\s|$)/.test(line);
    if (isHeading && hasBody) {
      sections.push(lines.join("\n"));
      lines = [];
      hasBody = false;
    }
    lines.push(line);
    hasBody ||= !isHeading && line.trim() !== "";
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence === undefined) fence = mark;
    else if (mark?.startsWith(fence)) fence = undefined;
  }
  return withoutBlanks([...sections, lines.join("\n")]);
}
