import { flagOf } from "../base/naming.js";
import { defaultText } from "./flags.js";
import { SETTING_KEYS, settingOf } from "./names.js";
import { MODEL_PRESETS, RECIPES } from "./presets.js";
import { RESUME_SETTINGS } from "./resume-settings.js";
import { describeRange } from "./schema.js";
import { SETTING_GROUPS, type SettingKey } from "./settings.js";

/** The reference page of all settings in Markdown, which `docs/settings.md` holds. */
export function settingsPage(): string {
  return [
    "# Settings",
    "",
    [
      "Every setting of `highrank train` is a flag and a key of the config file (YAML or JSON). Keys may be written",
      "in camelCase, kebab-case or snake_case. Flags override the config file, which overrides the preset, which",
      "overrides the defaults, of which there are two columns: for a model that has learned, and for a size preset,",
      "which starts at random. Where neither a config file nor a model is named, the preset is",
      "[`quickstart`](#preset-quickstart); the header of a run names its preset. Numbers may have `_` between digits",
      "and the suffixes `k`, `M` and `B`. Lists are separated by commas. `--name` sets a boolean, and `--no-name`",
      "clears it.",
    ].join(" "),
    "",
    ...SETTING_GROUPS.flatMap((group) => [
      `## ${group}`,
      "",
      "| key and flag | value | fine-tune | from scratch | meaning | also accepted |",
      "|---|---|---|---|---|---|",
      ...SETTING_KEYS.filter((key) => settingOf(key).group === group).map(row),
      "",
    ]),
    "## Settings that may change on resume",
    "",
    `\`highrank resume\` accepts ${RESUME_SETTINGS.map((key) => `\`${flagOf(key)}\``).join(", ")}. ` +
      "All others stay as they were when the run started.",
    "",
    "## Model sizes",
    "",
    "| model | hidden size | layers | heads | intermediate size |",
    "|---|---|---|---|---|",
    ...Object.entries(MODEL_PRESETS).map(
      ([name, { hiddenSize, numHiddenLayers, numAttentionHeads, intermediateSize }]) =>
        `| ${name} | ${hiddenSize} | ${numHiddenLayers} | ${numAttentionHeads} | ${intermediateSize} |`,
    ),
    "",
    ...Object.entries(RECIPES).flatMap(([name, recipe]) => [
      `## Preset \`${name}\``,
      "",
      "```yaml",
      ...Object.entries(recipe).map(
        ([key, value]) => `${key}: ${Array.isArray(value) ? `[${value.join(", ")}]` : value}`,
      ),
      "```",
      "",
    ]),
  ].join("\n");
}

function row(key: SettingKey): string {
  const setting = settingOf(key);
  const unit = setting.unit === undefined ? "" : ` (${setting.unit})`;
  const switches = Object.keys(setting.switches ?? {}).map((name) => `${name}: true`);
  const { aliases: others = [], spellings = {}, factors = {}, shares = [] } = setting;
  const values = Object.keys(spellings).map((spelling) => `${key}: ${spelling}`);
  const products = Object.entries(factors).map(([name, times]) => `\`${name}\` (times ${times})`);
  const portions = shares.map((name) => `\`${name}\` (a share, from 0 to 1)`);
  const names = [...others, ...switches, ...values].map((alias) => `\`${alias}\``);
  const aliases = [...names, ...portions, ...products].join(", ");
  const cells = [
    `\`${key}\` \`${flagOf(key)}\``,
    describeRange(setting) + unit,
    defaultText(setting, "fine-tune"),
    defaultText(setting),
    setting.help,
    aliases,
  ];
  return `| ${cells.join(" | ")} |`;
}
