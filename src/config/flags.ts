import { flagOf, kebabCase } from "../base/naming.js";
import { defaultIn, type Job } from "./jobs.js";
import { SETTING_KEYS, settingOf } from "./names.js";
import { choicesOf } from "./schema.js";
import type { Setting, SettingKey } from "./settings.js";

/** Values of a flag, as far as a shell can complete them. */
export interface FlagValues {
  /** None for a flag that stands alone. */
  readonly kind: "none" | "choice" | "path" | "other";
  readonly choices: readonly string[];
}

/** The values that a shell can complete after the flag of a setting or another option. */
export function flagValues(setting: Pick<Setting, "type" | "choices" | "path">): FlagValues {
  const choices = choicesOf(setting) ?? [];
  if (setting.type === "boolean") return { kind: "none", choices };
  if (choices.length > 0) return { kind: "choice", choices };
  return { kind: setting.path === undefined ? "other" : "path", choices };
}

/** One command-line option of a setting, in the notation of commander. */
export interface FlagDefinition {
  readonly key: SettingKey;
  /** `--rank <integer>`, `--rslora`, `--no-rslora`. */
  readonly flags: string;
  readonly help: string;
  /** Its words in the short help; null if it is not there. */
  readonly brief: string | null;
  /** The value where none is given, in words: of a fine-tune, and from scratch where that is another. */
  readonly fallback: string;
  readonly group: Setting["group"];
  /** The values that the flag takes. */
  readonly values: FlagValues;
  /** Accepted but not listed: aliases, switches, and the form of a boolean that states its default. */
  readonly hidden: boolean;
}

/**
 * The options of every setting, in order. No option has a default, so that what was not typed stays undefined; values
 * stay text, which `resolveSettings` parses under any of the names.
 */
export function flagDefinitions(): FlagDefinition[] {
  return SETTING_KEYS.flatMap((key) => {
    const setting = settingOf(key);
    const definition = (flags: string, hidden: boolean): FlagDefinition => ({
      key,
      flags,
      help: setting.help,
      brief: setting.brief ?? null,
      values: flagValues(setting),
      fallback: defaultsText(setting),
      group: setting.group,
      hidden,
    });
    const { type, default: fallback, aliases = [], switches = {}, factors = {}, shares = [] } = setting;
    const valued = (name: string, hidden: boolean): FlagDefinition[] => {
      const standsAlone = setting.spellings?.true !== undefined;
      const value = standsAlone ? `[${placeholder(setting)}]` : `<${placeholder(setting)}>`;
      const off = standsAlone ? [definition(`--no-${kebabCase(name)}`, true)] : [];
      return [definition(`${flagOf(name)} ${value}`, hidden), ...off];
    };
    const onAndOff = (name: string, alias: boolean): FlagDefinition[] => [
      definition(flagOf(name), alias || fallback === true),
      definition(`--no-${kebabCase(name)}`, alias || fallback === false),
    ];
    return [
      ...[key, ...aliases].flatMap((name) =>
        type === "boolean" ? onAndOff(name, name !== key) : valued(name, name !== key),
      ),
      ...Object.keys(switches).flatMap((name) => onAndOff(name, true)),
      ...shares.map((name) => definition(`${flagOf(name)} <share>`, true)),
      ...Object.keys(factors).map((name) => definition(`${flagOf(name)} <${placeholder(setting)}>`, true)),
    ];
  });
}

function placeholder(setting: Setting): string {
  const { type, unit, path } = setting;
  if (type === "choice") return choicesOf(setting)!.join("|");
  if (type === "list") return "a,b,...";
  return unit ?? path?.replace(" or ", "|") ?? (type === "string" ? "text" : type);
}

/** The default of a setting in words. */
export function defaultText(setting: Setting, job: Job = "from scratch"): string {
  const found = defaultIn(job, setting);
  if ("required" in found) return "none: it must be given";
  if ("derived" in found) return found.derived;
  const { value } = found;
  if (value === null) return `none: ${setting.none}`;
  if (value === "") return "empty";
  if (Array.isArray(value)) return value.join(",") || "none";
  return String(value);
}

/** The defaults of both jobs, in words: `16; from scratch 32`. */
function defaultsText(setting: Setting): string {
  const fineTune = defaultText(setting, "fine-tune");
  const scratch = defaultText(setting);
  return fineTune === scratch ? scratch : `${fineTune}; from scratch ${scratch}`;
}
