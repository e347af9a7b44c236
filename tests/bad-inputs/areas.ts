import { adapters } from "./adapters.js";
import type { Area } from "./bad-input.js";
import { data } from "./data.js";
import { exports } from "./exports.js";
import { generation } from "./generation.js";
import { hub } from "./hub.js";
import { models } from "./models.js";
import { quantization } from "./quantization.js";
import { runs } from "./runs.js";
import { settings } from "./settings.js";
import { studies } from "./studies.js";
import { usage } from "./usage.js";
import { weightFiles } from "./weight-files.js";

/** Every input that somebody may get wrong, in the order of docs/errors.md. */
export const AREAS: readonly Area[] = [
  usage,
  settings,
  data,
  models,
  weightFiles,
  hub,
  quantization,
  adapters,
  runs,
  generation,
  exports,
  studies,
];
