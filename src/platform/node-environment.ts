import os from "node:os";

/** Environment variables of the process. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** Home folder of the user. */
export function homeFolder(): string {
  return os.homedir();
}
