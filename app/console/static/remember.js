/** Storing an episode. */

import { call } from "./api.js";
import { Problem, html, listed, say, useAction } from "./parts.js";

/** A form for one. session: the session that it belongs to, if any. */
export function Remember({ session, onStored }) {
  const [store, busy, error] = useAction(async (event) => {
    event.preventDefault();
    const form = event.target;
    const { role, content, tags } = Object.fromEntries(new FormData(form));
    await call("POST", "memory", { body: { role, content, tags: listed(tags), session_id: session ?? null } });
    form.reset();
    say("Remembered.");
    await onStored();
  });
  return html`<form onSubmit=${store} class="remember" aria-label="Remember something">
    <textarea name="content" required rows="2" aria-label="What was said"
      placeholder="Customer wants Friday billing summaries."></textarea>
    <div class="grid">
      <label>Role <input name="role" required defaultValue="user" list="roles" /></label>
      <label>Tags, separated by commas <input name="tags" placeholder="kind:preference" /></label>
      <button type="submit" aria-busy=${busy} disabled=${busy}>Remember</button>
    </div>
    <datalist id="roles"><option value="user" /><option value="assistant" /><option value="system" /></datalist>
    <${Problem} error=${error} />
  </form>`;
}
