import type { Settings } from "./settings.js";

/** What versions before a setting did: its value in the runs that they began, whose files do not name it. */
export const BEFORE_SETTING: Partial<Settings> = { addSpecialTokens: false };
