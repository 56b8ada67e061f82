/** Searching, with what every score is made of. */

import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "./api.js";
import { Does, Heading, Moment, Pager, Problem, Tags, html, listed, useAction, useFetched } from "./parts.js";
import { Remember } from "./remember.js";
import { marked } from "./marking.js";
import { PARTS, balanced } from "./weights.js";

const LIMIT = 10;
const AROUND = 2;
const MODES = ["hybrid", "semantic", "keyword"];
const DEFAULT_WEIGHTS = { semantic: 0.6, keyword: 0.3, recency: 0.1 };
const NOTHING = { query: "", mode: "hybrid", role: "", tags: "", session: "", from: "", to: "", least: "0" };

// A search is found again as it was when somebody comes back to the page.
let left = { wanted: NOTHING, weights: DEFAULT_WEIGHTS, answer: null, asked: null };

export function Search() {
  const [wanted, setWanted] = useState(left.wanted);
  const [weights, setWeights] = useState(left.weights);
  const [answer, setAnswer] = useState(left.answer);
  const asked = useRef(left.asked);
  const query = useRef(null);
  const lag = useFetched(() => call("GET", "memory/embedding-status"), []);
  useEffect(() => query.current.focus(), []);
  useEffect(() => {
    left = { wanted, weights, answer, asked: asked.current };
  });

  const ask = async (body) => {
    asked.current = body;
    setAnswer(await call("POST", "memory/search", { body }));
  };
  const [search, busy, error] = useAction(async (event) => {
    event.preventDefault();
    await ask(requested(wanted, weights));
  });
  const [move, , moveError] = useAction((offset) => ask({ ...asked.current, offset }));
  const change = (name) => (event) => setWanted({ ...wanted, [name]: event.target.value });

  return html`
    <${Heading}>Search</${Heading}>
    <search><form onSubmit=${search}>
      <fieldset role="group">
        <input id="query" ref=${query} type="search" aria-label="What to look for" placeholder="What to look for"
          value=${wanted.query} onInput=${change("query")} />
        <button type="submit" aria-busy=${busy} disabled=${busy}>Search</button>
      </fieldset>
      <div class="levers">
        <fieldset class="modes">
          <legend>Mode</legend>
          ${MODES.map((mode) => html`<label key=${mode}>
            <input type="radio" name="mode" value=${mode} checked=${wanted.mode === mode} onChange=${change("mode")} />
            ${mode}</label>`)}
        </fieldset>
        <${Weights} weights=${weights} onChange=${setWeights} disabled=${wanted.mode !== "hybrid"} />
      </div>
      <details>
        <summary>Filters</summary>
        <div class="grid">
          <label>Role <input value=${wanted.role} onInput=${change("role")} placeholder="user" /></label>
          <label>Tags <input value=${wanted.tags} onInput=${change("tags")} placeholder="kind:preference" /></label>
          <label>Session <input value=${wanted.session} onInput=${change("session")} placeholder="its id" /></label>
        </div>
        <div class="grid">
          <label>From <input type="datetime-local" value=${wanted.from} onInput=${change("from")} /></label>
          <label>To <input type="datetime-local" value=${wanted.to} onInput=${change("to")} /></label>
          <label>Least score
            <input type="number" min="0" max="1" step="0.05" value=${wanted.least} onInput=${change("least")} /></label>
        </div>
      </details>
    </form></search>
    <${Problem} error=${error ?? moveError} />
    ${lag.data?.total === 0 && html`<p>Nothing is remembered yet. Begin with something that was said:</p>
      <${Remember} onStored=${lag.again} />`}
    ${answer && html`<${Results} answer=${answer} asked=${asked.current} onMove=${move}
      onGone=${() => ask(asked.current)} />`}
  `;
}

/** The body of a search. Weights as the server has them are left to it. */
function requested(wanted, weights) {
  const hybrid = wanted.mode === "hybrid";
  const own = PARTS.some((part) => weights[part] !== DEFAULT_WEIGHTS[part]);
  return {
    query: wanted.query,
    search_mode: wanted.mode,
    weights: hybrid && own ? weights : null,
    role: wanted.role || null,
    tags: listed(wanted.tags),
    session_id: wanted.session.trim() || null,
    from_time: wanted.from ? new Date(wanted.from).toISOString() : null,
    to_time: wanted.to ? new Date(wanted.to).toISOString() : null,
    min_score: Number(wanted.least),
    limit: LIMIT,
    explain: true,
  };
}

function Weights({ weights, onChange, disabled }) {
  return html`<fieldset class="weights" disabled=${disabled}>
    <legend>Weights</legend>
    ${PARTS.map((part) => html`<label key=${part} class=${part}>
      <span><i aria-hidden="true"></i>${part} <small>${Math.round(weights[part] * 100)} %</small></span>
      <input type="range" min="0" max="100" step="5" value=${Math.round(weights[part] * 100)}
        onInput=${(event) => onChange(balanced(weights, part, event.target.value / 100))} />
    </label>`)}
  </fieldset>`;
}

function Results({ answer, asked, onMove, onGone }) {
  const { results, total, query_time_ms: ms } = answer;
  if (!results.length) return html`<p role="status">Nothing was found.</p>`;
  return html`<section aria-label="Results">
    <p class="legend"><span role="status">${total} found in ${ms} ms</span>
      <span>${[...PARTS, "lift"].map((part) => html`<span class=${part} key=${part}><i aria-hidden="true"></i>${part}</span>`)}</span>
    </p>
    ${results.map((result) => html`
      <${Result} key=${result.episode_id} result=${result} asked=${asked} onGone=${onGone} />`)}
    <${Pager} total=${total} limit=${LIMIT} offset=${asked.offset ?? 0} onMove=${onMove} />
  </section>`;
}

function Result({ result, asked, onGone }) {
  const [around, setAround] = useState(null);
  const look = async () => {
    if (around) return setAround(null);
    const { results } = await call("POST", "memory/search", { body: { ...asked, include_context: AROUND } });
    const same = results.find((each) => each.episode_id === result.episode_id);
    return setAround(same?.context ?? { before: [], after: [] });
  };
  const remove = async () => {
    await call("DELETE", `memory/${result.episode_id}`);
    await onGone();
  };
  return html`<article class="result">
    <header>
      <strong>${result.role}</strong> <${Moment} at=${result.created_at} /> <${Tags} tags=${result.tags} />
      <${Score} score=${result.score} explanation=${result.explanation} />
    </header>
    ${around && html`<${Turns} turns=${around.before} />`}
    <p class="content">${marked(result.content, result.matched ?? [])}</p>
    ${around && html`<${Turns} turns=${around.after} />`}
    <footer>
      ${result.session_id && html`
        <${Does} action=${look}>${around ? "Without what is around it" : "What was said around it"}</${Does}>
        <a href="#/sessions/${result.session_id}">Its session</a>`}
      <${Does} action=${remove} done="Deleted. The timeline can bring it back for 30 days."
        ask="Delete this? It is gone from every read, and can be restored for 30 days.">Delete</${Does}>
    </footer>
  </article>`;
}

function Turns({ turns }) {
  return turns.map((turn) => html`<p class="turn" key=${turn.episode_id}>
    <strong>${turn.role}</strong> ${turn.content}</p>`);
}

/** A score as a bar of what each part gave to it. */
function Score({ score, explanation }) {
  if (!explanation) return html`<span class="score">${score.toFixed(2)}</span>`;
  const parts = [...PARTS, "lift"].filter((part) => explanation[part].share > 0);
  const said = parts.map((part) => `${part} ${explanation[part].share.toFixed(2)}`).join(", ");
  return html`<span class="score">
    <span class="bar" role="img" aria-label="Of this, ${said || "nothing"}" title=${said}>
      ${parts.map((part) => html`<i key=${part} class=${part}
        style=${{ width: `${explanation[part].share * 100}%` }}></i>`)}
    </span>
    ${score.toFixed(2)}
  </span>`;
}
