/** One session: its window, how full it is, its checkpoints and its whole history. */

import { useState } from "preact/hooks";
import { call } from "./api.js";
import { Does, Heading, Moment, Pager, Problem, Tags, html, nameOf, useFetched } from "./parts.js";
import { Remember } from "./remember.js";

const LIMIT = 50;

export function Session({ id }) {
  const path = `sessions/${id}`;
  const { data, error, again } = useFetched(
    async () => {
      const [window, checkpoints, embedding] = await Promise.all([
        call("GET", path),
        call("GET", `${path}/checkpoints`),
        call("GET", `${path}/embedding-status`),
      ]);
      return { window, checkpoints, embedding };
    },
    [id],
  );
  if (!data) return html`<${Problem} error=${error} />`;
  const { session, messages, token_usage: tokens } = data.window;
  const remove = async () => {
    await call("DELETE", `memory/session/${id}`);
    location.hash = "#/sessions";
  };
  return html`
    <p><a href="#/sessions">All sessions</a></p>
    <${Heading} title=${nameOf(session)}>${nameOf(session)}</${Heading}>
    <p class="quiet">Begun <${Moment} at=${session.created_at} /> · <code>${id}</code></p>
    <${Problem} error=${error} />
    <div class="columns">
      <section aria-labelledby="window">
        <h2 id="window">Window</h2>
        <${Tokens} tokens=${tokens} embedding=${data.embedding} />
        ${messages.map((message) => html`<${Message} key=${message.episode_id} message=${message} />`)}
        ${!messages.length && html`<p>Nothing was said yet.</p>`}
        <${Remember} session=${id} onStored=${again} />
      </section>
      <section aria-labelledby="checkpoints">
        <h2 id="checkpoints">Checkpoints</h2>
        <${Checkpoints} path=${path} checkpoints=${data.checkpoints.checkpoints} onChange=${again} />
        <h2>Metadata</h2>
        <pre tabindex="0"><code>${JSON.stringify(session.metadata, null, 2)}</code></pre>
        <${Does} action=${remove} done="The session's episodes are deleted, and can be restored for 30 days."
          ask="Delete everything that was said in this session?">Delete the session</${Does}>
      </section>
    </div>
    <${History} path=${path} />
  `;
}

function Tokens({ tokens, embedding }) {
  return html`<p class="tokens">
    <progress value=${tokens.used} max=${tokens.max} aria-label="Tokens of the window that are used"></progress>
    <small>${tokens.used} of ${tokens.max} tokens · ${tokens.message_count} messages · ${embedding.ready} of
      ${" "}${embedding.total} embedded${embedding.failed > 0 && `, ${embedding.failed} failed`}</small>
  </p>`;
}

function Message({ message }) {
  return html`<article class="message ${message.role === "user" ? "user" : ""}">
    <header><strong>${message.role}</strong> <${Moment} at=${message.timestamp} />
      <small>${message.tokens} tokens, priority ${message.priority_score}</small></header>
    <p class="content">${message.content}</p>
  </article>`;
}

function Checkpoints({ path, checkpoints, onChange }) {
  const make = async () => {
    await call("POST", `${path}/checkpoint`);
    await onChange();
  };
  const restore = (checkpoint) => async () => {
    await call("POST", `${path}/restore`, { body: { checkpoint_id: checkpoint.checkpoint_id } });
    await onChange();
  };
  return html`
    <${Does} action=${make} done="The window is kept as a checkpoint." kind="">Checkpoint now</${Does}>
    ${!checkpoints.length && html`<p>None yet.</p>`}
    <ul class="plain">
      ${checkpoints.map((checkpoint) => html`<li key=${checkpoint.checkpoint_id}>
        <span><${Moment} at=${checkpoint.created_at} /><br />
          <small>${checkpoint.message_count} messages${checkpoint.automatic && ", made by itself"}</small></span>
        <${Does} action=${restore(checkpoint)} done="The window is as it was then; nothing is deleted."
          ask="Go back to this window? What was said since stays in the history.">Restore</${Does}>
      </li>`)}
    </ul>
  `;
}

function History({ path }) {
  const [open, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.target.open)}>
    <summary>Everything that was said</summary>
    ${open && html`<${Past} path=${path} />`}
  </details>`;
}

function Past({ path }) {
  const [offset, setOffset] = useState(0);
  const { data, error, again } = useFetched(
    () =>
      call("GET", `${path}/history`, { query: { limit: LIMIT, offset, order: "asc", include_superseded: true } }),
    [path, offset],
  );
  const remove = (episode) => async () => {
    await call("DELETE", `memory/${episode.episode_id}`);
    await again();
  };
  if (!data) return html`<${Problem} error=${error} />`;
  return html`
    <${Problem} error=${error} />
    ${data.episodes.map((episode) => html`<article class="message" key=${episode.episode_id}>
      <header><strong>${episode.role}</strong> <${Moment} at=${episode.created_at} />
        <${Tags} tags=${episode.tags} />
        <small>${episode.embedding_status === "ready" ? "embedded" : `embedding ${episode.embedding_status}`}</small>
      </header>
      <p class="content">${episode.content}</p>
      <footer><${Does} action=${remove(episode)} done="Deleted. The timeline can bring it back for 30 days."
        ask="Delete this? It can be restored for 30 days.">Delete</${Does}></footer>
    </article>`)}
    <${Pager} total=${data.total} limit=${LIMIT} offset=${offset} onMove=${setOffset} />
  `;
}
