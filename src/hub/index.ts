export type { HubAccess } from "./hub-access.js";
export type { Patience } from "./hub-patience.js";
export { type LocatedModel, locateModel } from "./locate-model.js";
export type { DownloadEvents, DownloadOptions, DownloadProgress } from "./model-download.js";
export type { WantedParts } from "./model-files.js";
