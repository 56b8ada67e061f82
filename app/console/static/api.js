/** The REST API as one person uses it. Credentials live as long as the tab does, and go nowhere else. */

const BASE = new URL("api/v1/", document.baseURI);
const KEPT = "remembr";

let credentials = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
let refreshing = null;
let onSignedOut = () => {};

/** What the server refused, in its own words. status: of HTTP, 0 when nothing answered. */
export class ApiError extends Error {
  constructor(message, status, code = "", requestId = "") {
    super(message);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

export const signedIn = () => credentials !== null;

/** Call this when credentials are no longer good. */
export function whenSignedOut(callback) {
  onSignedOut = callback;
}

function keep(next) {
  credentials = next;
  if (next) sessionStorage.setItem(KEPT, JSON.stringify(next));
  else sessionStorage.removeItem(KEPT);
}

export async function register(email, password, orgName) {
  takeTokens(await send("POST", "auth/register", { email, password, org_name: orgName }));
}

export async function logIn(email, password) {
  takeTokens(await send("POST", "auth/login", { email, password }));
}

/** Act as the holder of an API key, if the server knows it. */
export async function useKey(key) {
  await send("GET", "me", undefined, key);
  keep({ token: key });
}

function takeTokens(pair) {
  keep({ token: pair.access_token, refresh: pair.refresh_token });
}

export async function logOut() {
  const refresh = credentials?.refresh;
  if (refresh) await send("POST", "auth/logout", { refresh_token: refresh }, credentials.token).catch(() => {});
  keep(null);
  onSignedOut();
}

/** `data` of an answer. query: object of parameters; empty ones are left out. */
export async function call(method, path, { body, query } = {}) {
  const parameters = new URLSearchParams(
    Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== ""),
  );
  const whole = parameters.size ? `${path}?${parameters}` : path;
  const token = credentials?.token;
  try {
    return await send(method, whole, body, token);
  } catch (error) {
    if (error.status !== 401) throw error;
    if (!(await renewed(token))) {
      keep(null);
      onSignedOut();
      throw error;
    }
    return send(method, whole, body, credentials.token);
  }
}

/** Whether there is a newer token than this one; requests that fail at once renew it once. */
async function renewed(token) {
  if (credentials && credentials.token !== token) return true;
  if (!credentials?.refresh) return false;
  refreshing ??= send("POST", "auth/refresh", { refresh_token: credentials.refresh })
    .then((answer) => keep({ ...credentials, token: answer.access_token }))
    .finally(() => (refreshing = null));
  try {
    await refreshing;
    return true;
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
}

/** A probe's answer, which has no envelope and may say 503. */
export async function probe(path) {
  const response = await reach(new URL(path, BASE), {});
  return response.json();
}

async function send(method, path, body, token) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await reach(new URL(path, BASE), { method, headers, body: text });
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer.data;
  const error = answer?.error;
  throw new ApiError(
    described(error) ?? `The server answered ${response.status}.`,
    response.status,
    error?.code,
    answer?.request_id,
  );
}

/** The message, and what is wrong with which field. */
function described(error) {
  if (!error) return null;
  const problems = (error.details?.errors ?? []).map((each) => `${each.loc.slice(1).join(".")}: ${each.msg}`);
  return [error.message, ...problems].join(" ");
}

async function reach(url, options) {
  try {
    return await fetch(url, { cache: "no-store", ...options });
  } catch {
    throw new ApiError("The server can't be reached. It may be starting again; try once more.", 0);
  }
}
