/** Whether everything answers, and how far the workers are behind. */

import { useEffect } from "preact/hooks";
import { call, probe } from "./api.js";
import { Heading, Moment, Problem, html, useFetched } from "./parts.js";

const EVERY_MS = 5000;

export function Health() {
  const { data, error, again } = useFetched(async () => {
    const [live, ready, lag] = await Promise.all([
      probe("health/live"),
      probe("health/ready"),
      call("GET", "memory/embedding-status"),
    ]);
    return { live, ready, lag };
  }, []);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || again(), EVERY_MS);
    return () => clearInterval(timer);
  }, [again]);
  return html`
    <${Heading}>Health</${Heading}>
    <${Problem} error=${error} />
    ${data && html`
      <p>Release ${data.live.version}, <strong>${data.ready.status}</strong></p>
      <ul class="plain">
        ${Object.entries(data.ready.checks).map(([name, answers]) => html`<li key=${name}>
          <span>${answers ? "✓" : "✗"} ${name}</span> <span>${answers ? "answers" : "doesn't answer"}</span></li>`)}
      </ul>
      <h2>Embedding</h2>
      <${Lag} lag=${data.lag} />`}
  `;
}

function Lag({ lag }) {
  return html`
    <p><progress value=${lag.ready} max=${Math.max(lag.total, 1)} aria-label="Episodes that are embedded"></progress></p>
    <dl class="figures">
      <div><dt>embedded</dt><dd>${lag.ready}</dd></div>
      <div><dt>waiting</dt><dd>${lag.pending}</dd></div>
      <div><dt>failed</dt><dd>${lag.failed}</dd></div>
      <div><dt>oldest that waits</dt><dd>${lag.oldest_pending_at ? html`<${Moment} at=${lag.oldest_pending_at} />` : "none"}</dd></div>
    </dl>`;
}
