// What an answer says of itself besides its items: why an item is there, and what rules did.

import { make, named, number, words } from "./dom.js";

const MOST = 3; // reasons that are shown

/** Return the line "because of …" of an item that has reasons, the strongest first. */
export function becauseOf(item) {
  const reasons = Array.isArray(item.reasons) ? item.reasons.slice(0, MOST) : [];
  if (!reasons.length) return null;
  const parts = reasons.flatMap((reason, at) => [at ? ", " : "", words(titleOf(reason))]);
  return make("p", { class: "because" }, "because of ", ...parts);
}

function titleOf(reason) {
  return typeof reason === "object" && reason !== null ? named({ metadata: null, ...reason }).title : String(reason);
}

/** Return the line of what rules did to an item, such as a boost. */
export function effectsOf(item) {
  const effects = Object.entries(item.rules ?? {}).filter(([, value]) => value !== null && value !== false);
  if (!effects.length) return null;
  const text = ([name, value]) => (value === true ? name : `${name} ${number(value)}`);
  return make("p", { class: "effects" }, effects.map(text).join(" · "));
}
