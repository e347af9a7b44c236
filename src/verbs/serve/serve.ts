import { absolutePath, baseName, exists } from "#platform";
import { ConfigError } from "../../base/errors.js";
import { optionName } from "../../base/naming.js";
import type { DownloadEvents } from "../../hub/model-download.js";
import { isLoopback } from "../../serving/guard.js";
import { listen } from "../../serving/server.js";
import { Engine } from "./engine.js";
import type { EngineJob } from "./messages.js";
import { addApi } from "./routes.js";

/** Options of {@link serveTarget}. */
export interface ServerOptions extends Omit<EngineJob, "target" | "name">, DownloadEvents {
  /** The address to listen on. */
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** What clients must send as `Authorization: Bearer KEY`; null for nothing. */
  readonly apiKey: string | null;
  /** Questions that may wait while others are answered. */
  readonly maxQueue: number;
  /** Seconds from a question to the end of its answer, which is cut off then. */
  readonly timeLimit: number;
}

/** A server that answers requests. */
export interface ModelServer {
  /** Where it is, as `http://127.0.0.1:8000`; clients of OpenAI's API ask below `/v1`. */
  readonly url: string;
  /** Names of its models. */
  readonly models: readonly string[];
  /** Answers that are written at once. */
  readonly parallel: number;
  /** Resolves when it was closed; rejects if what computes has failed. */
  readonly ended: Promise<void>;
  /** Ends open answers, frees the port and lets go of the models. */
  close(): Promise<void>;
}

/**
 * Answers requests of OpenAI's API with a model, and with adapters that share its weights.
 * @throws ConfigError for a port that is taken and options that do not go together; CheckpointError as `loadTarget`.
 */
export async function serveTarget(
  target: string,
  { host, port, apiKey, maxQueue, timeLimit, onDownload, onNotice, ...job }: ServerOptions,
): Promise<ModelServer> {
  const name = (await exists(target)) ? baseName(absolutePath(target)) : target;
  if (apiKey === "") throw new ConfigError(`${optionName("apiKey")}: must not be empty; leave it out for no key`);
  if (Object.keys(job.adapters).includes(name)) {
    throw new ConfigError(`${optionName("adapter")}: ${name} is the name of the model itself; choose another`);
  }
  if (!isLoopback(host) && apiKey === null) {
    onNotice?.(
      `${optionName("host", host)}: whoever reaches this machine can use the model; ` +
        `${optionName("apiKey")} asks for a key`,
    );
  }
  const engine = await Engine.start({ ...job, target, name }, { onDownload, onNotice });
  const limits = { queue: maxQueue, seconds: timeLimit };
  const onFault = ({ message }: Error): void => onNotice?.(`a request failed: ${message}`);
  const server = await listen((app) => addApi(app, engine, { limits, apiKey, onFault }), { host, port }).catch(
    async (error) => {
      await engine.close();
      throw error;
    },
  );
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= engine.close().then(() => server.close());
    return closed;
  };
  // Nobody can be answered any more.
  engine.ended.catch(() => server.close());
  const { models, parallel, ended } = engine;
  return { url: server.url, models, parallel, ended: ended.then(() => closed), close };
}
