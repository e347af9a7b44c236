import { ConfigError } from "../base/errors.js";
import { browser } from "./browser-globals.js";
import { absolutePath, folderOf } from "./browser-paths.js";
import type { Lock, LockHolder } from "./node-lock.js";

// A lock of the site (Web Locks), which goes with the worker or the tab that holds it: there is no file.

const HELD = "in use by a tab or worker of this site";
const WAY_OUT = "wait for it, close that tab, or choose another folder";

function nameOf(file: string): string {
  return `highrank:${absolutePath(file)}`;
}

/**
 * Takes the folder of the lock file for this worker alone, until `release` or its end.
 * @param held what is taken. Default: the folder.
 * @throws ConfigError if it is held, also by this one.
 */
export async function acquireLock(file: string, held = folderOf(file)): Promise<Lock> {
  const { locks } = browser.navigator;
  return new Promise((resolve, reject) => {
    const released = locks.request(nameOf(file), { ifAvailable: true }, (lock) => {
      if (lock === null) throw new ConfigError(`${held} is ${HELD}; ${WAY_OUT}`);
      return new Promise<void>((letGo) => {
        const release = async (): Promise<void> => {
          letGo();
          await released;
        };
        resolve({ takenOverFrom: null, release });
      });
    });
    released.catch(reject);
  });
}

/** Does work while no other tab or worker of this site does such. */
export function oneAtATime<T>(work: () => Promise<T>): Promise<T> {
  return browser.navigator.locks.request("highrank: new names", work);
}

/** Looks at a lock without taking it; null if it is free. */
export async function lockHolder(file: string): Promise<LockHolder | null> {
  const { held } = await browser.navigator.locks.query();
  const isHeld = held.some(({ name }) => name === nameOf(file));
  return isHeld ? { isAlive: true, words: HELD, wayOut: WAY_OUT } : null;
}
