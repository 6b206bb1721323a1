// A filter over the attributes of items, where the service has a table of them, and what it did.

import { byId, make, number } from "./dom.js";

const KINDS = { bool: "true or false", int: "number", float: "number", time: "time", text: "text", list: "texts" };
const EXAMPLES = { bool: "= true", int: "< 100", float: "< 9.99" }; // what may stand behind a column
const MOST = 12; // columns that are named

/** Turn the form into a filter. `apply(text)` asks again with it. */
export function filterBox(apply) {
  const form = byId("filter-form"), field = byId("filter"), clear = byId("filter-clear");
  let applied = "";

  function use(text) {
    if (text === applied && field.getAttribute("aria-invalid") !== "true") return;
    applied = text;
    clear.hidden = !text;
    tell("");
    apply(text);
  }

  /** Say what is wrong with the filter; nothing is, without a text. */
  function tell(text) {
    byId("filter-problem").textContent = text;
    if (text) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }

  /** Offer the filter where there are columns, a Map from name to kind. */
  function offer(columns) {
    const names = Object.entries(columns ?? {});
    form.hidden = !names.length;
    const [name, kind] = names.find(([, kind]) => kind in EXAMPLES) ?? names[0] ?? ["", ""];
    field.placeholder = `${name} ${EXAMPLES[kind] ?? "is not null"}`;
    const shown = names.slice(0, MOST).flatMap(([name, kind], at) => [
      at ? ", " : "", make("code", {}, name), ` (${KINDS[kind] ?? kind})`,
    ]);
    const more = names.length > MOST ? [` and ${names.length - MOST} more`] : [];
    byId("filter-columns").replaceChildren("Columns: ", ...shown, ...more);
  }

  /** Show how many of all items the filter lets through, as an answer says. */
  function showEffect(rules, n_items) {
    const allowed = rules?.allowed;
    byId("filter-effect").textContent =
      typeof allowed === "number" ? `${number(allowed)} of ${number(n_items)} items pass the filter.` : "";
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    use(field.value.trim());
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = applied;
    tell("");
  });
  clear.addEventListener("click", () => {
    field.value = "";
    field.focus();
    use("");
  });
  return { offer, tell, showEffect };
}

/** Return the line of what rules did to an item: the rank that it has without boosts, caps and diversity. */
export function effectLine({ base_rank: before }, rank) {
  if (before === undefined || before === rank + 1) return null;
  return make("p", { class: "effects" }, before === null ? "raised by rules" : `rank ${number(before)} without rules`);
}
