import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { HubServer } from "../../tests/hub/hub-server.js";
import { CheckpointError } from "../base/errors.js";
import type { HubAccess } from "./hub-access.js";
import { HubClient } from "./hub-client.js";

const SECRET = "hf_verysecret";
const PATIENCE = { attempts: 3, firstWait: 1, silence: 5000 };

let hub: HubServer;
let url = "";
let notices: string[] = [];
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => {
  const commit = hub.push("org/name", { "model.safetensors": "weights", "config.json": "{}" });
  url = `${hub.endpoint}/org/name/resolve/${commit}/model.safetensors`;
  hub.seen.length = 0;
  hub.trouble = () => undefined;
  hub.token = undefined;
  notices = [];
});

function client({ token, ...more }: Partial<HubAccess> = {}, patience: Partial<typeof PATIENCE> = {}): HubClient {
  const access = { endpoint: hub.endpoint, token, offline: false, cacheFolder: "", ...more };
  return new HubClient("org/name", access, (text) => notices.push(text), { ...PATIENCE, ...patience });
}

/** The message of the CheckpointError with which a request to the model ends. */
async function refusal(asking: HubClient = client()): Promise<string> {
  const error = await asking.get(url).then(
    () => expect.unreachable(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  return (error as Error).message;
}

test("the token goes to the hub, and not along with a redirect to another host", async () => {
  hub.token = SECRET;
  const response = await client({ token: SECRET }).get(url);
  expect(await response.text()).toBe("weights");
  expect(hub.seen.map(({ host, authorization }) => [host, authorization])).toEqual([
    ["hub", `Bearer ${SECRET}`],
    ["cdn", undefined],
  ]);
});

test("the token is not sent after a redirect to another host and back", async () => {
  hub.trouble = ({ host }) =>
    host === "cdn" ? { status: 302, headers: { location: `${hub.endpoint}/spy` } } : undefined;
  await refusal(client({ token: SECRET }));
  expect(hub.seen.map(({ host, authorization }) => [host, authorization])).toEqual([
    ["hub", `Bearer ${SECRET}`],
    ["cdn", undefined],
    ["hub", undefined],
  ]);
});

test("a renamed model is found through the hub's redirect, with the token", async () => {
  const commit = hub.push("new-org/name", { "config.json": '{"new":1}' });
  const location = `/new-org/name/resolve/${commit}/config.json`;
  hub.trouble = ({ url: asked }) => (asked.startsWith("/org/") ? { status: 307, headers: { location } } : undefined);
  expect(await (await client({ token: SECRET }).get(url)).json()).toEqual({ new: 1 });
  expect(hub.seen.map(({ authorization }) => authorization)).toEqual([`Bearer ${SECRET}`, `Bearer ${SECRET}`]);
});

test("redirects that lead nowhere are not followed", async () => {
  const redirect = (location: string): void => {
    hub.trouble = () => ({ status: 302, headers: { location } });
  };
  redirect("file:///etc/passwd");
  expect(await refusal()).toMatch(/redirects to an address that is not safe/);
  redirect("http://[");
  expect(await refusal()).toMatch(/redirects to an invalid address/);
  redirect(url);
  expect(await refusal()).toMatch(/redirects in a circle/);
});

test.each([
  [401, {}, /answers 401: there is no such model, or none that you may read, nor a local folder .* set HF_TOKEN/],
  [404, { "X-Error-Code": "RepoNotFound" }, /answers 404: there is no such model/],
  [404, { "X-Error-Code": "RevisionNotFound" }, /has no such revision; see .*org\/name for those it has/],
  [404, { "X-Error-Code": "EntryNotFound" }, /a file is gone; try again/],
  [403, { "X-Error-Code": "GatedRepo" }, /its terms must be accepted at .*org\/name; set HF_TOKEN/],
])("a refusal says what to do: %i %o", async (status, headers, says) => {
  hub.trouble = () => ({ status, headers });
  expect(await refusal()).toMatch(says);
  expect(hub.seen).toHaveLength(1);
});

test("with a token, a refusal mentions it without showing it", async () => {
  hub.trouble = () => ({ status: 403, headers: { "X-Error-Code": "GatedRepo" } });
  const gated = await refusal(client({ token: SECRET }));
  expect(gated).toMatch(/do so with the account of your token/);
  hub.trouble = () => ({ status: 401 });
  const hidden = await refusal(client({ token: SECRET }));
  expect(hidden).toMatch(/see that the token is valid and may read it/);
  expect(gated + hidden).not.toContain(SECRET);
});

test.each([429, 500, 503])("an overloaded hub (%i) is asked again", async (status) => {
  hub.trouble = () => (hub.seen.length < 3 ? { status } : undefined);
  expect(await (await client()).get(url).then((response) => response.text())).toBe("weights");
  // The first failure is not reported.
  expect(notices).toEqual([expect.stringMatching(`\\(${status}\\); trying again in 0.002 s`)]);
});

test("a hub that stays overloaded is given up, with the reason", async () => {
  hub.trouble = () => ({ status: 503 });
  expect(await refusal()).toMatch(
    /cannot be downloaded from http:.*\(the hub has trouble \(503\)\).*what has been downloaded is kept/,
  );
  expect(hub.seen).toHaveLength(PATIENCE.attempts);
});

test("a hub that asks for a wait gets it; one that asks for more than a minute is given up", async () => {
  hub.trouble = () => (hub.seen.length < 2 ? { status: 429, headers: { "retry-after": "0.02" } } : undefined);
  await (await client().get(url)).text();
  expect(notices).toEqual([expect.stringContaining("trying again in 0.02 s")]);
  hub.trouble = () => ({ status: 429, headers: { "retry-after": "3600" } });
  hub.seen.length = 0;
  expect(await refusal()).toMatch(/too many requests \(429\)/);
  expect(hub.seen).toHaveLength(1);
});

test("the message for an address without a server has the reason", async () => {
  const closed = await HubServer.start();
  const { endpoint } = closed;
  await closed.close();
  url = url.replace(hub.endpoint, endpoint);
  expect(await refusal(client({ endpoint }))).toMatch(/\(ECONNREFUSED\)/);
});

test("a hub that is silent for too long is asked again", async () => {
  let release = (): void => {};
  const silence = new Promise<void>((resolve) => {
    release = resolve;
  });
  hub.trouble = () => (hub.seen.length <= 2 ? { wait: () => silence } : undefined);
  expect(await (await client({}, { silence: 300, attempts: 9 }).get(url)).text()).toBe("weights");
  expect(notices[0]).toContain("no byte came for 0.3 s");
  release();
});

test("a text that is read whole is requested again if it was cut", async () => {
  url = url.replace("model.safetensors", "config.json");
  hub.trouble = () => (hub.seen.length === 1 ? { cutAfter: 1 } : undefined);
  expect(await (await client().getWhole(url)).json()).toEqual({});
  expect(hub.seen).toHaveLength(2);
});
