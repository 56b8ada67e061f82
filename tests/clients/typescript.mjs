// Calls the API as the published TypeScript client does: its headers, its bodies, its query strings, and
// reads what it reads. Prints one JSON object of what it saw; an assertion that fails ends the process.
import assert from "node:assert/strict";

const [base, key, userId] = process.argv.slice(2);
const isoMillis = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

async function request(method, path, { body, headers = {}, params = {} } = {}) {
  const query = new URLSearchParams(params).toString();
  const response = await fetch(`${base}${path}${query ? `?${query}` : ""}`, {
    method,
    headers: { "X-API-Key": key, Accept: "application/json", "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const payload = await response.json();
  if (!response.ok) throw Object.assign(new Error(payload.error.message), { status: response.status, ...payload.error });
  assert.equal(payload.success, true);
  return payload.data;
}

const session = await request("POST", "/sessions", { body: { metadata: { source: "typescript" } } });
assert.match(session.created_at, isoMillis);
const stored = await request("POST", "/memory", {
  body: { content: "Ada prefers tea.", role: "user", session_id: session.session_id, tags: ["kind:preference"], metadata: {} },
  headers: { "Idempotency-Key": "ts-1" },
});
const repeated = await request("POST", "/memory", {
  body: { content: "Ada prefers tea.", role: "user", session_id: session.session_id, tags: ["kind:preference"], metadata: {} },
  headers: { "Idempotency-Key": "ts-1" },
});
assert.equal(repeated.episode_id, stored.episode_id);

const found = await request("POST", "/memory/search", {
  body: {
    query: "tea", session_id: session.session_id, limit: 20, search_mode: "hybrid",
    from_time: new Date(Date.now() - 3_600_000).toISOString(), to_time: new Date().toISOString(),
    tag_filters: [{ key: "kind", op: "eq", value: "preference" }],
    weights: { semantic: 0.6, keyword: 0.3, recency: 0.1 },
  },
});
assert.equal(found.results[0].episode_id, stored.episode_id);
assert.ok(Number.isInteger(found.query_time_ms) && found.total === 1);

const shown = await request("GET", `/sessions/${session.session_id}`);
assert.equal(shown.session.session_id, session.session_id);
const sessions = await request("GET", "/sessions", { params: { limit: 20, offset: 0 } });
assert.equal(sessions.org_id, session.org_id);
const history = await request("GET", `/sessions/${session.session_id}/history`, { params: { limit: 50 } });
assert.deepEqual(history.episodes.map((episode) => episode.content), ["Ada prefers tea."]);

const checkpoint = await request("POST", `/sessions/${session.session_id}/checkpoint`);
await request("POST", "/memory", { body: { content: "later", role: "user", session_id: session.session_id, tags: [], metadata: {} } });
const restored = await request("POST", `/sessions/${session.session_id}/restore`, {
  body: { checkpoint_id: checkpoint.checkpoint_id },
});
assert.equal(restored.restoredMessageCount, 1);
const checkpoints = await request("GET", `/sessions/${session.session_id}/checkpoints`);
assert.deepEqual(checkpoints.checkpoints.map((item) => item.checkpoint_id), [checkpoint.checkpoint_id]);

const webhook = await request("POST", "/webhooks", {
  body: { url: "https://example.com/hook", events: ["memory.stored"], active: false },
});
assert.equal(typeof webhook.secret, "string");
const listed = await request("GET", "/webhooks");
assert.deepEqual(listed.map((item) => item.id), [webhook.id]);
const rotated = await request("POST", `/webhooks/${webhook.id}/rotate-secret`);
assert.notEqual(rotated.secret, webhook.secret);
const updated = await request("PATCH", `/webhooks/${webhook.id}`, { body: { events: ["memory.deleted"] } });
assert.deepEqual(updated.events, ["memory.deleted"]);
assert.deepEqual(await request("GET", `/webhooks/${webhook.id}/deliveries`, { params: { limit: 20 } }), []);
const gone = await request("DELETE", `/webhooks/${webhook.id}`);
assert.deepEqual([gone.deleted, gone.webhook_id], [true, webhook.id]);

const rows = await (
  await fetch(`${base}/export?format=json`, { headers: { "X-API-Key": key, Accept: "application/json" } })
).json();
assert.deepEqual(rows.map((row) => row.content), ["Ada prefers tea.", "later"]);
const csv = await fetch(`${base}/export?${new URLSearchParams({ format: "csv", include_deleted: "true", from_date: new Date(0).toISOString() })}`, {
  headers: { "X-API-Key": key, Accept: "text/csv" },
});
assert.match(csv.headers.get("content-type"), /^text\/csv/);
const blob = await csv.blob();
assert.match(await blob.text(), /Ada prefers tea\./);

const forgotten = await request("DELETE", `/memory/${stored.episode_id}`);
assert.equal(forgotten.deleted, true);
const emptied = await request("DELETE", `/memory/session/${session.session_id}`);
assert.equal(typeof emptied.deletedCount, "number");
const erased = await request("DELETE", `/memory/user/${userId}`);
assert.deepEqual([typeof erased.deletedEpisodes, erased.deletedSessions], ["number", 1]);

const missing = await request("GET", `/sessions/${session.session_id}`).catch((error) => error);
assert.deepEqual([missing.status, missing.code, missing.details.code], [404, "NOT_FOUND", "SESSION_NOT_FOUND"]);
console.log(JSON.stringify({ session: session.session_id, emptied: emptied.deletedCount }));
