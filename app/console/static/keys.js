/** API keys: making one, and revoking it. */

import { useState } from "preact/hooks";
import { call } from "./api.js";
import { Does, Heading, Moment, Problem, Secret, html, useAction, useFetched } from "./parts.js";

const SCOPES = { "memory:read": "read", "memory:write": "write", "admin": "look after keys, webhooks and users" };

export function Keys() {
  const { data, error, again } = useFetched(() => call("GET", "api-keys"), []);
  const [made, setMade] = useState(null);
  const [create, busy, problem] = useAction(async (event) => {
    event.preventDefault();
    const form = event.target;
    const given = new FormData(form);
    const expires = given.get("expires");
    const body = {
      name: given.get("name"),
      agent_id: given.get("agent").trim() || null,
      expires_at: expires ? new Date(expires).toISOString() : null,
      scopes: given.getAll("scopes"),
    };
    setMade(await call("POST", "api-keys", { body }));
    form.reset();
    await again();
  });
  return html`
    <${Heading}>Keys</${Heading}>
    ${made && html`<${Secret} title="The key “${made.name}”" value=${made.api_key} onDone=${() => setMade(null)} />`}
    <${Problem} error=${error} />
    ${data && html`<${Table} keys=${data.keys} onChange=${again} />`}
    <h2>A new key</h2>
    <form onSubmit=${create} aria-label="A new key">
      <div class="grid">
        <label>Name <input name="name" required maxlength="200" placeholder="support-agent" /></label>
        <label>Agent <input name="agent" placeholder="its id, if it keeps to itself" /></label>
        <label>Expires <input name="expires" type="datetime-local" /></label>
      </div>
      <fieldset>
        <legend>It may</legend>
        ${Object.entries(SCOPES).map(([scope, said]) => html`<label key=${scope}>
          <input type="checkbox" name="scopes" value=${scope} defaultChecked=${scope !== "admin"} /> ${said}</label>`)}
      </fieldset>
      <${Problem} error=${problem} />
      <button type="submit" aria-busy=${busy} disabled=${busy}>Create</button>
    </form>
  `;
}

function Table({ keys, onChange }) {
  if (!keys.length) return html`<p>There is no key yet.</p>`;
  const revoke = (key) => async () => {
    await call("DELETE", `api-keys/${key.id}`);
    await onChange();
  };
  return html`<div class="overflow-auto" tabindex="0" role="region" aria-label="Keys"><table>
    <thead><tr>
      ${["Name", "Key", "May", "Last used", "Expires"].map((title) => html`<th scope="col" key=${title}>${title}</th>`)}
      <td></td>
    </tr></thead>
    <tbody>
      ${keys.map((key) => html`<tr key=${key.id}>
        <th scope="row">${key.name}</th>
        <td><code>${key.prefix}…${key.last_chars}</code></td>
        <td>${key.scopes.map((scope) => scope.replace("memory:", "")).join(", ")}</td>
        <td><${Moment} at=${key.last_used_at} /></td>
        <td><${Moment} at=${key.expires_at} /> ${key.is_expired && html`<strong>expired</strong>`}</td>
        <td><${Does} action=${revoke(key)} done="Revoked."
          ask="Revoke “${key.name}”? Whoever uses it is refused within a second.">Revoke</${Does}></td>
      </tr>`)}
    </tbody>
  </table></div>`;
}
