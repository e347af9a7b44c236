/** Marks, for this tab, that the page was loaded again to be isolated. */
const RELOADED = "highrank-isolation";

/**
 * Sees to it that the page is isolated, so that WebAssembly computes with threads. Where the host does not send the
 * headers for it, a service worker adds them, and the page is loaded again, once. Called by a page one folder below the
 * top of the site, before it does anything else.
 * @returns `reloading`: the page goes away at once. `impossible`: it works with one thread, as the browser refuses
 *   service workers (private windows of some, pages without HTTPS), or as the worker was of no use.
 */
export async function ensureIsolated(): Promise<"isolated" | "reloading" | "impossible"> {
  try {
    if (crossOriginIsolated) {
      sessionStorage.removeItem(RELOADED);
      return "isolated";
    }
    if (sessionStorage.getItem(RELOADED) !== null) return "impossible";
    const registration = await navigator.serviceWorker.register(new URL("../isolation-worker.js", document.baseURI));
    const worker = registration.active ?? registration.waiting ?? registration.installing;
    if (!(await activated(worker!))) return "impossible";
    sessionStorage.setItem(RELOADED, "");
  } catch {
    return crossOriginIsolated ? "isolated" : "impossible"; // storage or workers are refused
  }
  location.reload();
  return "reloading";
}

/** Whether the worker came to work; false if it could not be installed. */
function activated(worker: ServiceWorker): Promise<boolean> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (worker.state === "activated") resolve(true);
      if (worker.state === "redundant") resolve(false);
    };
    worker.addEventListener("statechange", look);
    look();
  });
}
