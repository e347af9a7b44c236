import { z } from "zod";
import { SETTINGS, type Setting } from "./settings.js";

/** The zod type of one setting's value, without its default. */
export function valueSchema(setting: Setting): z.ZodType {
  const schema = bareSchema(setting);
  return setting.none === undefined ? schema : schema.nullable();
}

function bareSchema(setting: Setting): z.ZodType {
  switch (setting.type) {
    case "integer":
    case "number": {
      let schema: z.ZodNumber = setting.type === "integer" ? z.int() : z.number();
      if (setting.min !== undefined) schema = schema.min(setting.min);
      if (setting.max !== undefined) schema = schema.max(setting.max);
      if (setting.above !== undefined) schema = schema.gt(setting.above);
      if (setting.below !== undefined) schema = schema.lt(setting.below);
      return schema;
    }
    case "boolean":
      return z.boolean();
    case "string":
      return z.string();
    case "choice":
      return z.enum(choicesOf(setting)!);
    case "list": {
      const members = choicesOf(setting);
      return z.array(members === undefined ? z.string().min(1) : z.enum(members));
    }
  }
}

/** The values of a choice or the members of a list, as they are at present. */
export function choicesOf({ choices }: Pick<Setting, "choices">): readonly string[] | undefined {
  return typeof choices === "function" ? choices() : choices;
}

/** JSON Schema (draft 2020-12) of a config file, for editors. Knows the canonical camelCase names. */
export function settingsJsonSchema(): Record<string, unknown> {
  const shape: Record<string, z.ZodType> = {};
  for (const [key, setting] of Object.entries<Setting>(SETTINGS)) {
    const checked = valueSchema(setting);
    const schema =
      setting.pairs === undefined ? checked : checked.or(z.record(z.string(), z.union([z.string(), z.number()])));
    shape[key] = (setting.default === undefined ? schema.optional() : schema.default(setting.default)).describe(
      setting.help,
    );
  }
  return z.toJSONSchema(z.strictObject(shape), { io: "input" });
}

/** The values that the setting takes, in words: "an integer of at least 1", "one of full, lora, relora". */
export function describeRange(setting: Setting): string {
  const text = describeType(setting);
  return setting.none === undefined ? text : `${text}, or none`;
}

function describeType({ type, min, max, above, below, pairs, ...rest }: Setting): string {
  const choices = choicesOf(rest);
  if (type === "boolean") return "true or false";
  if (type === "string") return "text";
  if (type === "choice") return `one of ${choices!.join(", ")}`;
  if (pairs !== undefined) return `a list of ${pairs.join("=")}, or a mapping`;
  if (type === "list") return choices === undefined ? "a list of names" : `a list out of ${choices.join(", ")}`;
  const noun = type === "integer" ? "an integer" : "a number";
  const low = min !== undefined ? `of at least ${min}` : above !== undefined ? `above ${above}` : "";
  const high = max !== undefined ? `at most ${max}` : below !== undefined ? `below ${below}` : "";
  return [noun, [low, high].filter(Boolean).join(" and ")].filter(Boolean).join(" ");
}
