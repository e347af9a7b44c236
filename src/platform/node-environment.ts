import os from "node:os";

/** Variables of the environment that the process was started in. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** The home folder of the user. */
export function homeFolder(): string {
  return os.homedir();
}
