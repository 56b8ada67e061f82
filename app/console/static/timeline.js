/** What was added and what was deleted, in the order of time; deleting, restoring and erasing. */

import { useState } from "preact/hooks";
import { call } from "./api.js";
import { Does, Heading, Moment, Problem, Tags, html, useFetched } from "./parts.js";

const HOUR_MS = 3600_000;
const PERIODS = [
  ["the last hour", HOUR_MS],
  ["the last day", 24 * HOUR_MS],
  ["the last week", 7 * 24 * HOUR_MS],
  ["the last 30 days", 30 * 24 * HOUR_MS],
];
const LIMIT = 200;
const ERASE = "Erase this for good? Nobody can bring it back.";

export function Timeline() {
  const [length, setLength] = useState(PERIODS[1][1]);
  const { data, error, again } = useFetched(() => {
    const now = Date.now();
    const query = { from_time: new Date(now - length).toISOString(), to_time: new Date(now).toISOString() };
    return call("GET", "memory/diff", { query: { ...query, limit: LIMIT } });
  }, [length]);
  return html`
    <${Heading}>Timeline</${Heading}>
    <label class="period">What happened in
      <select value=${length} onChange=${(event) => setLength(Number(event.target.value))}>
        ${PERIODS.map(([name, ms]) => html`<option key=${ms} value=${ms}>${name}</option>`)}
      </select>
    </label>
    <${Problem} error=${error} />
    ${data && html`<${Events} diff=${data} onChange=${again} />`}
  `;
}

function Events({ diff, onChange }) {
  const events = [
    ...diff.added.map((episode) => ({ at: episode.created_at, episode, added: true })),
    ...diff.deleted.map((episode) => ({ at: episode.deleted_at, episode, added: false })),
  ].sort((one, other) => new Date(other.at) - new Date(one.at));
  if (!events.length) return html`<p role="status">Nothing was added or deleted.</p>`;
  const full = diff.added.length === LIMIT || diff.deleted.length === LIMIT;
  return html`
    <p role="status">${diff.added.length} added, ${diff.deleted.length} deleted
      ${full && ` (the first ${LIMIT} of each)`}</p>
    <ol class="timeline">
      ${events.map(({ at, episode, added }) => html`<li key=${`${episode.episode_id} ${added}`}
        class=${added ? "added" : "deleted"}>
        <${Moment} at=${at} />
        ${added
          ? html`<${Added} episode=${episode} onChange=${onChange} />`
          : html`<${Deleted} episode=${episode} onChange=${onChange} />`}
      </li>`)}
    </ol>`;
}

/** Calls, and then looks again. */
const then = (onChange, method, path) => async () => {
  await call(method, path);
  await onChange();
};

function Erase({ episode, onChange }) {
  const erase = then(onChange, "DELETE", `memory/${episode.episode_id}/hard`);
  return html`<${Does} action=${erase} done="Erased." ask=${ERASE}>Erase</${Does}>`;
}

function Added({ episode, onChange }) {
  const remove = then(onChange, "DELETE", `memory/${episode.episode_id}`);
  return html`
    <p class="content"><strong>${episode.role}</strong> ${episode.content} <${Tags} tags=${episode.tags} /></p>
    <div class="actions">
      ${episode.session_id && html`<a href="#/sessions/${episode.session_id}">Its session</a>`}
      <${Does} action=${remove} done="Deleted; it can be restored for 30 days."
        ask="Delete this? It can be restored for 30 days.">Delete</${Does}>
      <${Erase} episode=${episode} onChange=${onChange} />
    </div>`;
}

function Deleted({ episode, onChange }) {
  const restore = then(onChange, "POST", `memory/${episode.episode_id}/restore`);
  return html`
    <p>Deleted <code>${episode.episode_id}</code></p>
    <div class="actions">
      <${Does} action=${restore} done="Restored.">Restore</${Does}>
      <${Erase} episode=${episode} onChange=${onChange} />
    </div>`;
}
