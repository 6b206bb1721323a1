// Why an item is there: the picks that count most for it, in words.

import { explainItems, Problem } from "./api.js";
import { make, named } from "./dom.js";

const MOST = 3; // reasons that are shown
const LONG = 40; // characters of a title in a reason

/** Add `reasons` to every item of some answers, a Map from search way to answer; an item without any has none. */
export async function addReasons(ids, answers, signal) {
  for (const [way, answer] of answers) {
    const { items, source } = answer.results[0];
    if (!items.length || source === "popular") continue;
    try {
      const found = await explainItems(ids, items.map((item) => item.id), MOST, way, signal);
      const reasons = new Map(found.items.map((item) => [item.id, item.reasons]));
      for (const item of items) item.reasons = reasons.get(item.id);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      return; // the lists are right without reasons
    }
  }
}

/** Return the line "because of …" of an item, null where it has no reasons. */
export function reasonLine({ reasons = [] }) {
  const parts = reasons.filter(({ share }) => !(share < 0)).flatMap((reason, at) => {
    const share = typeof reason.share === "number" ? ` (${Math.round(100 * reason.share)} %)` : "";
    return [at ? ", " : "", make("bdi", {}, short(named(reason).title)), share];
  });
  return parts.length ? make("p", { class: "because" }, "because of ", ...parts) : null;
}

const short = (title) => ([...title].length > LONG ? `${[...title].slice(0, LONG - 1).join("").trimEnd()}…` : title);
