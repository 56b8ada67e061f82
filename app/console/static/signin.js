/** Signing up, signing in, or acting as the holder of an API key. */

import { useState } from "preact/hooks";
import { logIn, register, useKey } from "./api.js";
import { Heading, Problem, html, useAction } from "./parts.js";

const WAYS = {
  "sign-in": { title: "Sign in", does: ({ email, password }) => logIn(email, password) },
  "sign-up": { title: "Sign up", does: ({ email, password, org }) => register(email, password, org) },
  "key": { title: "Use an API key", does: ({ key }) => useKey(key.trim()) },
};

export function SignIn({ onSignedIn }) {
  const [way, setWay] = useState("sign-in");
  const [submit, busy, error] = useAction(async (event) => {
    event.preventDefault();
    await WAYS[way].does(Object.fromEntries(new FormData(event.target)));
    onSignedIn();
  });
  return html`<main class="container sign-in" id="main">
    <${Heading} title="Sign in">Remembr</${Heading}>
    <p>Memory for AI agents, on your own Elasticsearch.</p>
    <div role="group" aria-label="Ways in">
      ${Object.entries(WAYS).map(([name, { title }]) => html`
        <button type="button" key=${name} class=${name === way ? "" : "secondary"}
          aria-pressed=${name === way} onClick=${() => setWay(name)}>${title}</button>`)}
    </div>
    <form onSubmit=${submit}>
      ${way === "sign-up" && html`<label>Organisation
        <input name="org" required maxlength="200" autocomplete="organization" /></label>`}
      ${way === "key"
        ? html`<label>API key <input name="key" type="password" required autocomplete="off" /></label>`
        : html`
          <label>E-mail <input name="email" type="email" required autocomplete="username" /></label>
          <label>Password
            <input name="password" type="password" required minlength=${way === "sign-up" ? 8 : undefined}
              autocomplete=${way === "sign-up" ? "new-password" : "current-password"} /></label>`}
      <${Problem} error=${error} />
      <button type="submit" aria-busy=${busy} disabled=${busy}>${WAYS[way].title}</button>
    </form>
  </main>`;
}
