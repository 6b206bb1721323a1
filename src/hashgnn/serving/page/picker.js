// The search field with its list of finds, and the chips of what is picked.

import { byId, make, named, oneStop, say, stopAt, words } from "./dom.js";

const LIMIT = 12;
const PAUSE = 120; // ms after the last key
const LONG = 400; // ms after which a search says that it goes on

/** Turn the search field into a combobox. `find(query, limit, signal)` looks, `pick(item)` takes. */
export function searchField({ find, pick, isPicked, failed }) {
  const field = byId("query"), popup = byId("popup"), list = byId("found"), nothing = byId("nothing");
  let finds = [], active = -1, timer, slow, pending;

  function close() {
    clearTimeout(timer);
    clearTimeout(slow);
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

  function tell(text) {
    nothing.textContent = text;
    nothing.hidden = !text;
  }

  function show(query, isAll) {
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
            onclick: () => take(place),
          },
          words(title, { class: "title" }),
          words(isPicked(item) ? "picked" : more, { class: "more" }),
        );
      }),
    );
    list.hidden = !finds.length;
    if (!finds.length) tell(`Nothing is called “${query}”. Try fewer letters.`);
    else tell(isAll || !query ? "" : `These are the first ${finds.length}. More letters narrow them down.`);
    popup.hidden = false;
    field.setAttribute("aria-expanded", String(finds.length > 0));
    const found = `${finds.length} ${finds.length === 1 ? "item" : "items"}`;
    say(!finds.length ? nothing.textContent : isAll ? `${found} found` : `The first ${found} are shown`);
  }

  /** Say that the search goes on, where it takes long. */
  function waiting() {
    if (!popup.hidden) return; // what was found before stays until then
    finds = [];
    list.hidden = true;
    tell("Searching …");
    popup.hidden = false;
  }

  async function look() {
    pending?.abort();
    const mine = (pending = new AbortController());
    const query = field.value.trim();
    clearTimeout(slow);
    slow = setTimeout(waiting, LONG);
    try {
      const found = await find(query, LIMIT + 1, mine.signal);
      if (mine.signal.aborted || document.activeElement !== field) return;
      finds = found.slice(0, LIMIT);
      show(query, found.length <= LIMIT);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      close();
      failed(problem, look);
    } finally {
      if (pending === mine) clearTimeout(slow);
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  }

  field.addEventListener("input", soon);
  field.addEventListener("click", () => popup.hidden && look());
  field.addEventListener("blur", close);
  popup.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
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
      const button = { type: "button", "aria-label": `Remove ${title}`, title, onclick: () => remove(item) };
      return make("li", {}, make("button", button, words(title), sign("cross", "×")));
    }),
  );
}

/** Offer popular items, and go on offering them: `toggle(item)` picks one, or takes it away again. */
export function showStarters(items, toggle, isPicked) {
  const place = byId("starters"), before = [...place.children].indexOf(document.activeElement);
  const buttons = items.map((item) => {
    const { title } = named(item), is = isPicked(item);
    const button = { type: "button", "aria-label": title, "aria-pressed": String(is), title, onclick: () => toggle(item) };
    return make("button", button, is ? sign("tick", "✓") : sign("plus", "+"), words(title));
  });
  place.replaceChildren(...buttons);
  byId("popular").hidden = !items.length;
  const focused = buttons[before];
  stopAt(buttons, focused ?? buttons[0]);
  focused?.focus({ preventScroll: true });
}

const sign = (name, text) => make("span", { class: name, "aria-hidden": "true" }, text);

oneStop(byId("starters"));
