// What an answer says of itself besides its items: why an item is there, and what rules did to it.

import { make, named, number, words } from "./dom.js";

const MOST = 3; // reasons that are shown
const LONG = 40; // characters of a title in a reason

/** Return the line "because of …" of an item that has reasons, the strongest first; `picked` is a Map from id to item. */
export function becauseOf(item, picked) {
  const reasons = (Array.isArray(item.reasons) ? item.reasons : []).filter(({ share }) => !(share < 0)).slice(0, MOST);
  if (!reasons.length) return null;
  const parts = reasons.flatMap((reason, at) => {
    const known = reason.metadata ? reason : (picked.get(reason.id) ?? reason);
    const share = typeof reason.share === "number" ? ` ${number(Math.round(100 * reason.share))} %` : "";
    return [at ? ", " : "", words(short(named(known).title)), share];
  });
  return make("p", { class: "because" }, "because of ", ...parts);
}

const short = (title) => ([...title].length > LONG ? `${[...title].slice(0, LONG - 1).join("").trimEnd()}…` : title);

/** Return the line of what rules did to an item, such as a boost: names and values. */
export function effectsOf(item) {
  const effects = Object.entries(item.rules ?? {}).filter(([, value]) => value !== null && value !== false);
  if (!effects.length) return null;
  const text = ([name, value]) => (value === true ? name : `${name} ${number(value)}`);
  return make("p", { class: "effects" }, effects.map(text).join(" · "));
}
