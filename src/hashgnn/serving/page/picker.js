// The search field with its list of finds, and the chips of what is picked.

import { byId, make, named, say } from "./dom.js";

const LIMIT = 12;
const PAUSE = 120; // ms after the last key

/** Turn the search field into a combobox. `find(query, limit, signal)` looks, `pick(item)` takes. */
export function searchField({ find, pick, isPicked, failed }) {
  const field = byId("query"), popup = byId("popup"), list = byId("found"), nothing = byId("nothing");
  let finds = [], active = -1, timer, pending;

  function close() {
    clearTimeout(timer);
    pending?.abort();
    popup.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
    active = -1;
  }

  function mark(place) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = place;
    const option = list.children[active];
    if (!option) return field.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", option.id);
  }

  function take(place) {
    const item = finds[place];
    if (!item) return;
    close();
    field.value = "";
    field.focus();
    pick(item);
  }

  function show(query) {
    active = -1;
    field.removeAttribute("aria-activedescendant");
    list.replaceChildren(
      ...finds.map((item, place) => {
        const { title, more } = named(item);
        return make(
          "li",
          {
            id: `found-${place}`, role: "option", "aria-selected": "false",
            class: isPicked(item) ? "is-picked" : undefined,
            onmousedown: (event) => event.preventDefault(), // the field keeps the focus
            onclick: () => take(place),
          },
          make("span", { class: "title" }, title),
          make("span", { class: "more" }, isPicked(item) ? "picked" : more),
        );
      }),
    );
    list.hidden = !finds.length;
    nothing.hidden = finds.length > 0;
    nothing.textContent = finds.length ? "" : `Nothing is called “${query}”. Try fewer letters.`;
    popup.hidden = false;
    field.setAttribute("aria-expanded", String(finds.length > 0));
    say(finds.length ? `${finds.length} items found` : nothing.textContent);
  }

  async function look() {
    pending?.abort();
    const mine = (pending = new AbortController());
    const query = field.value.trim();
    try {
      const found = await find(query, LIMIT, mine.signal);
      if (mine.signal.aborted || document.activeElement !== field) return;
      finds = found;
      show(query);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      close();
      failed(problem, look);
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  }

  field.addEventListener("input", soon);
  field.addEventListener("click", () => popup.hidden && look());
  field.addEventListener("blur", close);
  field.addEventListener("keydown", (event) => {
    const last = finds.length - 1;
    if (event.key === "Escape") {
      if (popup.hidden) field.value = "";
      close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const down = event.key === "ArrowDown";
      if (popup.hidden) look();
      else if (last >= 0) mark(down ? (active >= last ? 0 : active + 1) : active <= 0 ? last : active - 1);
    } else if (event.key === "Enter" && !popup.hidden) {
      event.preventDefault();
      take(Math.max(active, 0));
    }
  });
}

/** Show what is picked; `remove(item)` takes one away. */
export function showPicked(items, remove) {
  byId("picked").hidden = !items.length;
  byId("chips").replaceChildren(
    ...items.map((item) => {
      const { title } = named(item);
      const button = { type: "button", "aria-label": `Remove ${title}`, onclick: () => remove(item) };
      return make("li", {}, make("button", button, title, make("span", { class: "cross", "aria-hidden": "true" }, "×")));
    }),
  );
}

/** Offer popular items to begin with. */
export function showStarters(items, pick) {
  byId("starters").replaceChildren(
    ...items.map((item) => {
      const { title } = named(item);
      const button = { type: "button", "aria-label": `Pick ${title}`, onclick: () => pick(item) };
      return make("li", {}, make("button", button, make("span", { class: "plus", "aria-hidden": "true" }, "+"), title));
    }),
  );
}
