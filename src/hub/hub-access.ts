import { environment, exists, homeFolder, joinPath, readText } from "#platform";
import { ConfigError } from "../base/errors.js";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Settings of the hub and its cache. */
export interface HubAccess {
  /** Address such as https://huggingface.co, without a slash at the end. */
  readonly endpoint: string;
  /** Sent only to the endpoint, and shown nowhere. */
  readonly token: string | undefined;
  /** True if no network requests may be made. */
  readonly offline: boolean;
  /** Folder that holds `models--organisation--name`. */
  readonly cacheFolder: string;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";

/**
 * Reads the environment like Python's huggingface_hub: HF_ENDPOINT, HF_TOKEN or the file that `hf auth login` writes,
 * HF_HUB_OFFLINE, HF_HUB_CACHE, HF_HOME.
 * @throws ConfigError for an invalid endpoint or token, without showing it.
 */
export async function hubAccess(env: Environment = environment()): Promise<HubAccess> {
  const home =
    withHome(env.HF_HOME) ?? joinPath(withHome(env.XDG_CACHE_HOME) ?? joinPath(homeFolder(), ".cache"), "huggingface");
  return {
    endpoint: endpointOf(env.HF_ENDPOINT || DEFAULT_ENDPOINT),
    token: await tokenOf(env, withHome(env.HF_TOKEN_PATH) ?? joinPath(home, "token")),
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    cacheFolder: withHome(env.HF_HUB_CACHE) ?? withHome(env.HUGGINGFACE_HUB_CACHE) ?? joinPath(home, "hub"),
  };
}

/** The path with a leading `~` replaced; undefined for none. */
function withHome(path: string | undefined): string | undefined {
  if (path === undefined || path === "") return undefined;
  return /^~(?=$|[\\/])/.test(path) ? joinPath(homeFolder(), path.slice(1)) : path;
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? "");
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError(`HF_ENDPOINT: must be an address such as ${DEFAULT_ENDPOINT}; correct or unset it`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "") {
    throw new ConfigError("HF_ENDPOINT: must hold no user, password or query; give a token in HF_TOKEN");
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

async function tokenOf(env: Environment, file: string): Promise<string | undefined> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const given = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  const text = given || ((await exists(file)) ? await readText(file, { maxBytes: 10_000 }) : "");
  const token = text.trim();
  if (/[^\x21-\x7e]/.test(token)) {
    throw new ConfigError(
      `${given ? "HF_TOKEN" : file}: the token must be one word of ASCII characters; copy it again from the hub`,
    );
  }
  return token || undefined;
}
