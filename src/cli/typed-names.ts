import { flagOf } from "../base/naming.js";
import { findSetting, isOwnName } from "../config/names.js";

/** The text with the flags of settings as they were typed: `--lora-r` where that stands for `--rank`. */
export function withTypedNames(text: string, args: readonly string[]): string {
  const typed = new Map<string, string>();
  for (const arg of args) {
    const name = /^--([\w-]+)/.exec(arg)?.[1];
    const found = name === undefined ? undefined : findSetting(name);
    if (found === undefined || found.choice !== undefined || found.times !== undefined) continue;
    const own = flagOf(found.key);
    if (isOwnName(name!, found.key)) typed.set(own, own);
    else if (!typed.has(own)) typed.set(own, `--${name}`);
  }
  return text.replace(/--[a-z][a-z-]*/g, (flag) => typed.get(flag) ?? flag);
}
