/** Webhooks, and what was delivered to each. */

import { useState } from "preact/hooks";
import { call } from "./api.js";
import { Does, Heading, Moment, Problem, Secret, html, useAction, useFetched } from "./parts.js";

const EVENTS = ["memory.stored", "embedding.ready", "session.created", "memory.deleted", "checkpoint.created"];

export function Webhooks() {
  const { data, error, again } = useFetched(() => call("GET", "webhooks"), []);
  const [secret, setSecret] = useState(null);
  const [create, busy, problem] = useAction(async (event) => {
    event.preventDefault();
    const form = event.target;
    const given = new FormData(form);
    const body = { url: given.get("url"), events: given.getAll("events") };
    setSecret(await call("POST", "webhooks", { body }));
    form.reset();
    await again();
  });
  return html`
    <${Heading}>Webhooks</${Heading}>
    ${secret && html`<${Secret} title="What signs for ${secret.url}" value=${secret.secret}
      onDone=${() => setSecret(null)} />`}
    <${Problem} error=${error} />
    ${data?.map((webhook) => html`
      <${Webhook} key=${webhook.id} webhook=${webhook} onChange=${again} onSecret=${setSecret} />`)}
    ${data?.length === 0 && html`<p>There is no webhook yet.</p>`}
    <h2>A new webhook</h2>
    <form onSubmit=${create} aria-label="A new webhook">
      <label>URL <input name="url" type="url" required placeholder="https://example.com/remembr" /></label>
      <fieldset>
        <legend>Tell it of</legend>
        ${EVENTS.map((event) => html`<label key=${event}>
          <input type="checkbox" name="events" value=${event} /> ${event}</label>`)}
      </fieldset>
      <${Problem} error=${problem} />
      <button type="submit" aria-busy=${busy} disabled=${busy}>Create</button>
    </form>
  `;
}

function Webhook({ webhook, onChange, onSecret }) {
  const path = `webhooks/${webhook.id}`;
  const [open, setOpen] = useState(false);
  const [turn, turning, problem] = useAction(async () => {
    await call("PATCH", path, { body: { active: !webhook.active } });
    await onChange();
  });
  const rotate = async () => {
    onSecret(await call("POST", `${path}/rotate-secret`));
    await onChange();
  };
  const remove = async () => {
    await call("DELETE", path);
    await onChange();
  };
  return html`<article>
    <header>
      <label><input type="checkbox" role="switch" checked=${webhook.active !== turning} disabled=${turning} onChange=${turn} />
        ${webhook.url}</label>
      <small>${webhook.events.join(", ")}</small>
    </header>
    <p>Last delivery: <${Moment} at=${webhook.last_delivery_at} /> ${webhook.last_delivery_status}
      ${webhook.failure_count > 0 && html`<strong> ${webhook.failure_count} failed in a row</strong>`}
      ${webhook.disabled_reason && html`<strong> off: ${webhook.disabled_reason}</strong>`}</p>
    <${Problem} error=${problem} />
    <div class="actions">
      <${Does} action=${() => call("POST", `${path}/test`)} done="A test is on its way.">Test</${Does}>
      <${Does} action=${rotate} ask="Make a new secret? The old one signs beside it for a day.">New secret</${Does}>
      <${Does} action=${remove} done="Deleted." ask="Delete this webhook?">Delete</${Does}>
    </div>
    <details onToggle=${(event) => setOpen(event.target.open)}>
      <summary>Deliveries</summary>
      ${open && html`<${Deliveries} path=${path} />`}
    </details>
  </article>`;
}

function Deliveries({ path }) {
  const { data, error, again } = useFetched(() => call("GET", `${path}/deliveries`), [path]);
  const redeliver = (delivery) => async () => {
    await call("POST", `${path}/deliveries/${delivery.id}/redeliver`);
    await again();
  };
  return html`
    <${Problem} error=${error} />
    <${Does} action=${again}>Look again</${Does}>
    ${data?.length === 0 && html`<p>Nothing was sent yet.</p>`}
    ${data?.length > 0 && html`<div class="overflow-auto" tabindex="0" role="region" aria-label="Deliveries"><table>
      <thead><tr>
        ${["Event", "When", "Status", "Tries", "Answer"].map((title) => html`<th scope="col" key=${title}>${title}</th>`)}
        <td></td>
      </tr></thead>
      <tbody>
        ${data.map((delivery) => html`<tr key=${delivery.id}>
          <th scope="row">${delivery.event}</th>
          <td><${Moment} at=${delivery.created_at} /></td>
          <td>${delivery.status}</td>
          <td>${delivery.attempts}</td>
          <td>${delivery.response_status_code ?? delivery.error ?? ""}</td>
          <td><${Does} action=${redeliver(delivery)} done="It is sent once more.">Send again</${Does}></td>
        </tr>`)}
      </tbody>
    </table></div>`}
  `;
}
