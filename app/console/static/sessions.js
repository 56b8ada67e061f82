/** All sessions. */

import { useState } from "preact/hooks";
import { call } from "./api.js";
import { Heading, Moment, Pager, Problem, html, nameOf, useAction, useFetched } from "./parts.js";

const LIMIT = 20;

export function Sessions() {
  const [offset, setOffset] = useState(0);
  const { data, error } = useFetched(() => call("GET", "sessions", { query: { limit: LIMIT, offset } }), [offset]);
  const [create, busy, problem] = useAction(async (event) => {
    event.preventDefault();
    const { title } = Object.fromEntries(new FormData(event.target));
    const made = await call("POST", "sessions", { body: { metadata: title ? { title } : {} } });
    location.hash = `#/sessions/${made.session_id}`;
  });
  return html`
    <${Heading}>Sessions</${Heading}>
    <form onSubmit=${create}>
      <fieldset role="group">
        <input name="title" aria-label="Title of a new session" placeholder="Title of a new session" />
        <button type="submit" aria-busy=${busy} disabled=${busy}>Create</button>
      </fieldset>
      <${Problem} error=${problem} />
    </form>
    <${Problem} error=${error} />
    ${data && (data.total ? html`<${Table} sessions=${data.sessions} />` : html`<p>There is no session yet.</p>`)}
    ${data && html`<${Pager} total=${data.total} limit=${LIMIT} offset=${offset} onMove=${setOffset} />`}
  `;
}

function Table({ sessions }) {
  return html`<div class="overflow-auto" tabindex="0" role="region" aria-label="Sessions"><table>
    <thead><tr><th scope="col">Session</th><th scope="col">Messages</th><th scope="col">Begun</th></tr></thead>
    <tbody>
      ${sessions.map((session) => html`<tr key=${session.session_id}>
        <th scope="row"><a href="#/sessions/${session.session_id}">${nameOf(session)}</a></th>
        <td>${session.message_count}</td>
        <td><${Moment} at=${session.created_at} /></td>
      </tr>`)}
    </tbody>
  </table></div>`;
}
