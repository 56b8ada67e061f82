/** What several pages are made of. */

import { h } from "preact";
import { useCallback, useEffect, useId, useRef, useState } from "preact/hooks";
import htm from "htm";

export const html = htm.bind(h);

let announce = () => {};

/** Say it at the foot of the page, and to screen readers. */
export function say(text) {
  announce(text);
}

const SHOWN_MS = 6000;

/** Where what is said appears. */
export function Notices() {
  const [text, setText] = useState("");
  useEffect(() => {
    announce = setText;
  }, []);
  useEffect(() => {
    const timer = setTimeout(() => setText(""), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<div class="notices" role="status">${text && html`<p>${text}</p>`}</div>`;
}

/** What a function that fetches gives, asked again when `on` changes: {data, error, busy, again}. */
export function useFetched(fetch, on) {
  const [state, setState] = useState({ busy: true });
  const turn = useRef(0);
  const again = useCallback(async () => {
    const mine = ++turn.current;
    setState((before) => ({ ...before, busy: true }));
    try {
      const data = await fetch();
      if (mine === turn.current) setState({ data, busy: false });
    } catch (error) {
      if (mine === turn.current) setState((before) => ({ data: before.data, error, busy: false }));
    }
  }, on);
  useEffect(() => {
    again();
    return () => {
      turn.current += 1;
    };
  }, [again]);
  return { ...state, again };
}

/** Something that is done on a click or submit: [run, busy, error]. */
export function useAction(action) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const run = async (...values) => {
    setBusy(true);
    setError(null);
    try {
      return await action(...values);
    } catch (problem) {
      setError(problem);
      return undefined;
    } finally {
      setBusy(false);
    }
  };
  return [run, busy, error];
}

/** What went wrong, if anything did. */
export function Problem({ error }) {
  if (!error) return null;
  return html`<p class="problem" role="alert">
    ${error.message} ${error.requestId && html`<small>Request <code>${error.requestId}</code></small>`}
  </p>`;
}

/** The page's heading; it has the focus when the page opens, so that keyboards and screen readers start there. */
export function Heading({ children, title }) {
  const heading = useRef(null);
  useEffect(() => {
    document.title = `${title ?? children} · Remembr`;
    heading.current.focus();
  }, []);
  return html`<h1 tabindex="-1" ref=${heading}>${children}</h1>`;
}

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A moment in the reader's own time. */
export function Moment({ at }) {
  if (!at) return html`<span class="quiet">never</span>`;
  return html`<time datetime=${at} title=${at}>${EXACT.format(new Date(at))}</time>`;
}

/** A button that does one thing, can't be pressed twice meanwhile, and says what went wrong. ask: a question first. */
export function Does({ children, action, ask, done, kind = "secondary outline" }) {
  const dialog = useRef(null);
  const [run, busy, error] = useAction(async () => {
    await action();
    if (done) say(done);
  });
  const pressed = () => (ask ? dialog.current.showModal() : run());
  return html`
    <button type="button" class=${kind} aria-busy=${busy} disabled=${busy} onClick=${pressed}>${children}</button>
    ${ask && html`<${Question} dialog=${dialog} ask=${ask} yes=${children} onYes=${run} />`}
    <${Problem} error=${error} />
  `;
}

function Question({ dialog, ask, yes, onYes }) {
  const id = useId();
  const close = () => dialog.current.close();
  return html`<dialog ref=${dialog} aria-labelledby=${id}>
    <article>
      <p id=${id}>${ask}</p>
      <footer>
        <button type="button" class="secondary" onClick=${close} autofocus>Keep it</button>
        <button type="button" onClick=${() => (close(), onYes())}>${yes}</button>
      </footer>
    </article>
  </dialog>`;
}

/** Something that is shown once, to be copied. */
export function Secret({ title, value, onDone }) {
  const id = useId();
  const copy = async () => {
    await navigator.clipboard.writeText(value);
    say("Copied.");
  };
  return html`<article class="secret" aria-labelledby=${id}>
    <strong id=${id}>${title}</strong>
    <p>It isn't shown again: keep it where you keep secrets.</p>
    <pre tabindex="0"><code>${value}</code></pre>
    <${Does} action=${copy} kind="">Copy</${Does}>
    <button type="button" class="secondary outline" onClick=${onDone}>I have it</button>
  </article>`;
}

/** Pages of a list. */
export function Pager({ total, limit, offset, onMove }) {
  if (total <= limit) return null;
  const last = Math.min(offset + limit, total);
  return html`<nav class="pager" aria-label="Pages">
    <button type="button" class="secondary outline" disabled=${offset === 0}
      onClick=${() => onMove(Math.max(0, offset - limit))}>Before</button>
    <span>${offset + 1} to ${last} of ${total}</span>
    <button type="button" class="secondary outline" disabled=${last >= total}
      onClick=${() => onMove(offset + limit)}>After</button>
  </nav>`;
}

/** Tags of an episode, or nothing. */
export function Tags({ tags }) {
  if (!tags?.length) return null;
  return html`<span class="tags">${tags.map((tag) => html`<kbd key=${tag}>${tag}</kbd> `)}</span>`;
}

/** What a session is called: by its metadata, else by its id. */
export function nameOf(session) {
  const { metadata } = session;
  const named = metadata.title ?? metadata.name ?? Object.values(metadata).find((value) => typeof value === "string");
  return named ? String(named) : `Session ${session.session_id.slice(0, 8)}`;
}

/** A text field's words that are separated by commas. */
export function listed(text) {
  return text.split(",").map((part) => part.trim()).filter(Boolean);
}
