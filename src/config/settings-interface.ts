import { defaultText } from "./flags.js";
import { SETTING_KEYS, settingOf } from "./names.js";
import { describeRange } from "./schema.js";
import type { SettingKey } from "./settings.js";

/** The interface of the settings that a program gives, with comments for editors, which `train-settings.ts` holds. */
export function settingsInterface(): string {
  return [
    "// Written by `npx vitest run src/config -u` from the declarations in settings.ts.",
    'import type { Settings } from "./settings.js";',
    "",
    "/** Settings of a training run; all that are left out have their defaults. */",
    "export interface TrainSettings {",
    ...SETTING_KEYS.flatMap((key) => [...commentOf(key), `  readonly ${key}?: ${typeOf(key)} | undefined;`]),
    "}",
    "",
  ].join("\n");
}

function typeOf(key: SettingKey): string {
  const type = `Settings["${key}"]`;
  return settingOf(key).pairs === undefined ? type : `${type} | Readonly<Record<string, string | number>>`;
}

function commentOf(key: SettingKey): string[] {
  const setting = settingOf(key);
  const unit = setting.unit === undefined ? "" : `, in ${setting.unit}`;
  const value = `${describeRange(setting)}${unit}`.replace(/, or none\b/, ", or null");
  const fallback = defaultText(setting).replace(/^none: /, "null: ");
  const paragraphs = [setting.help, `Value: ${value}.`, `Default: ${fallback}.`];
  const lines = paragraphs.flatMap((paragraph, i) => [...(i === 1 ? [""] : []), ...wrapped(paragraph)]);
  return ["  /**", ...lines.map((line) => `   * ${line}`.trimEnd()), "   */"];
}

const COLUMNS = 114;

function wrapped(text: string): string[] {
  const lines = [""];
  for (const word of text.replaceAll("*/", "*\\/").split(" ")) {
    const line = lines.at(-1)!;
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
