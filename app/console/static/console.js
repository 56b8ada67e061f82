/** The console: who is signed in, which page is open, and the keys that lead to others. */

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { call, logOut, signedIn, whenSignedOut } from "./api.js";
import { Health } from "./health.js";
import { Keys } from "./keys.js";
import { Notices, html } from "./parts.js";
import { Search } from "./search.js";
import { Session } from "./session.js";
import { Sessions } from "./sessions.js";
import { SignIn } from "./signin.js";
import { Timeline } from "./timeline.js";
import { Webhooks } from "./webhooks.js";

const PAGES = [
  { name: "search", title: "Search", page: Search, key: "f" },
  { name: "sessions", title: "Sessions", page: Sessions, key: "s" },
  { name: "timeline", title: "Timeline", page: Timeline, key: "t" },
  { name: "keys", title: "Keys", page: Keys, key: "k" },
  { name: "webhooks", title: "Webhooks", page: Webhooks, key: "w" },
  { name: "health", title: "Health", page: Health, key: "h" },
];
const G_WITHIN_MS = 1500;

function useRoute() {
  const read = () => location.hash.replace(/^#\/?/, "").split("/");
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const moved = () => setRoute(read());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return route;
}

/** "g" and a letter open a page, "/" the search, "?" tells of them; not while something is being written. */
function useKeys(help) {
  useEffect(() => {
    let went = -Infinity;
    const pressed = (event) => {
      const writing = event.target.closest("input, textarea, select, dialog");
      if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
      const page = PAGES.find(({ key }) => key === event.key);
      if (event.key === "?") help.current?.showModal();
      else if (event.key === "/") {
        event.preventDefault();
        const query = document.getElementById("query");
        if (query) query.focus();
        else location.hash = "#/search";
      } else if (event.key === "g") went = event.timeStamp;
      else if (page && event.timeStamp - went < G_WITHIN_MS) location.hash = `#/${page.name}`;
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

function Console() {
  const [known, setKnown] = useState(signedIn());
  useEffect(() => whenSignedOut(() => setKnown(false)), []);
  return html`
    <a class="skip" href="#main" onClick=${toMain}>To the content</a>
    ${known ? html`<${SignedIn} />` : html`<${SignIn} onSignedIn=${() => setKnown(true)} />`}
    <${Notices} />
  `;
}

function toMain(event) {
  event.preventDefault();
  document.querySelector("h1").focus();
}

function SignedIn() {
  const [name, id] = useRoute();
  const [me, setMe] = useState(null);
  const help = useRef(null);
  useKeys(help);
  useEffect(() => {
    call("GET", "me").then(setMe, () => {});
  }, []);
  const open = PAGES.find((page) => page.name === name) ?? PAGES[0];
  const one = open.name === "sessions" && id;
  return html`
    <header class="container">
      <nav aria-label="Pages of the console">
        <ul><li><strong>Remembr</strong></li></ul>
        <ul>
          ${PAGES.map((page) => html`<li key=${page.name}>
            <a href="#/${page.name}" aria-current=${page === open ? "page" : undefined}>${page.title}</a>
          </li>`)}
        </ul>
        <ul>
          <li class="who">${me?.email ?? (me && "API key")}</li>
          <li><button type="button" class="secondary outline" onClick=${logOut}>Sign out</button></li>
        </ul>
      </nav>
    </header>
    <main class="container" id="main">
      ${one ? html`<${Session} key=${id} id=${id} />` : html`<${open.page} key=${open.name} />`}
    </main>
    <footer class="container">
      <a href="api/v1/docs">API</a>
      <button type="button" class="link" onClick=${() => help.current.showModal()}>Keyboard</button>
    </footer>
    <${Shortcuts} dialog=${help} />
  `;
}

function Shortcuts({ dialog }) {
  return html`<dialog ref=${dialog} aria-labelledby="shortcuts">
    <article>
      <h2 id="shortcuts">Keyboard</h2>
      <dl>
        <div><dt><kbd>/</kbd></dt><dd>search</dd></div>
        ${PAGES.map((page) => html`<div key=${page.name}>
          <dt><kbd>g</kbd> <kbd>${page.key}</kbd></dt><dd>${page.title.toLowerCase()}</dd>
        </div>`)}
        <div><dt><kbd>?</kbd></dt><dd>this</dd></div>
      </dl>
      <footer><button type="button" autofocus onClick=${() => dialog.current.close()}>Close</button></footer>
    </article>
  </dialog>`;
}

render(html`<${Console} />`, document.body);
