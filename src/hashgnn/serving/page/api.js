// Calls of the service that this page comes from.

const PATIENCE = 30_000;
const KEY = "hashgnn-api-key";

/** An answer that is none: `status` 0 where the service cannot be reached. `key` is the key that was sent, if any. */
export class Problem extends Error {
  constructor(status, detail, key = null) {
    super(detail);
    this.status = status;
    this.key = key;
  }
}

let inUse = null; // where the browser keeps nothing, the key lasts as long as the page

/** Send a key from now on. Returns whether a header can hold it. */
export function useKey(key) {
  if (!/^[!-~]+$/.test(key)) return false;
  inUse = key;
  kept((storage) => storage.setItem(KEY, key));
  return true;
}

export function forgetKey(key) {
  if (keyInUse() !== key) return;
  inUse = null;
  kept((storage) => storage.removeItem(KEY));
}

const keyInUse = () => inUse ?? kept((storage) => storage.getItem(KEY));

function kept(act) {
  try {
    return act(sessionStorage) ?? null;
  } catch {
    return null; // a browser may refuse to keep anything
  }
}

// Ids stay the text that they are in JSON: a number of 64 bits is more than JavaScript can hold.
const keepIds = (name, value, context) =>
  name === "id" && (typeof value === "number" || typeof value === "string")
    ? (context?.source ?? JSON.stringify(value))
    : value;

async function ask(path, signal, options = {}) {
  const key = keyInUse();
  const headers = { ...options.headers, ...(key ? { "X-API-Key": key } : {}) };
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PATIENCE);
  signal?.addEventListener("abort", () => late.abort(), { once: true });
  let answer, text;
  try {
    answer = await fetch(path, { ...options, headers, signal: late.signal });
    text = await answer.text();
  } catch {
    if (signal?.aborted) throw new DOMException("a newer request replaced this one", "AbortError");
    const detail = late.signal.aborted ? "The service took too long." : "The service cannot be reached.";
    throw new Problem(0, detail);
  } finally {
    clearTimeout(timer);
  }
  if (!answer.ok) throw new Problem(answer.status, detailOf(text) ?? `The service answered ${answer.status}.`, key);
  try {
    return JSON.parse(text, keepIds);
  } catch {
    throw new Problem(answer.status, "Something other than this service answered.", key);
  }
}

function detailOf(text) {
  try {
    const detail = JSON.parse(text).detail;
    return typeof detail === "string" && detail ? `${detail[0].toUpperCase()}${detail.slice(1)}.` : undefined;
  } catch {
    return undefined;
  }
}

const post = (path, body, signal) =>
  ask(path, signal, { method: "POST", headers: { "content-type": "application/json" }, body });

export const describeModel = () => ask("v1/model");

export const findItems = (query, limit, signal) =>
  ask(`v1/items?query=${encodeURIComponent(query)}&limit=${limit}`, signal).then((found) => found.items);

/** Rank items for a history. `ids` are JSON texts, so the body is put together as text; `more` has its other fields. */
export function recommend(ids, k, search, more, signal) {
  const others = JSON.stringify({ k, search, ...more }).slice(1);
  return post("v1/recommend", `{"histories":[[${ids.join(",")}]],${others}`, signal);
}

/** Say because of which items of a history, at most `n` each, some items have their scores. */
export const explainItems = (ids, items, n, search, signal) =>
  post("v1/explain", `{"history":[${ids.join(",")}],"items":[${items.join(",")}],"reasons":${n},"search":"${search}"}`, signal);

export const encodeHistory = (ids, signal) =>
  post("v1/encode", `{"histories":[[${ids.join(",")}]]}`, signal).then((found) => found.results[0]);

export const encodeItems = (ids, signal) =>
  post("v1/encode", `{"items":[${ids.join(",")}]}`, signal).then((found) => found.results);
