// Adds the headers that isolate a page, and so give it threads, where a static host sends none.
// Only pages and scripts of workers need them; all other requests go their usual way.
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (!["document", "iframe", "worker"].includes(event.request.destination)) return;
  event.respondWith(isolated(event.request));
});

async function isolated(request) {
  const answer = await fetch(request);
  if (answer.type === "opaqueredirect") return answer; // the browser follows it
  const headers = new Headers(answer.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
