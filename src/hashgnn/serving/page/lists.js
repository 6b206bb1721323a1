// The same list by every search way, side by side, with what differs from one of them marked.

import { byId, make, median, milliseconds, named, number, stopAt, words } from "./dom.js";
import { effectLine } from "./filter.js";
import { reasonLine } from "./reasons.js";

const WAYS = {
  hamming: "differing bits of two codes",
  biased: "differing bits and the item’s bias",
  asymmetric: "float query against codes",
  hierarchical: "codes choose, floats re-rank",
  float: "every embedding, exhaustively",
};

/** Make one column a way. `choose(way)` compares with another, `pick(item)` takes a recommended item. */
export function makeLists(ways, bytes, { choose, pick }) {
  const place = byId("columns");
  const columns = new Map();
  let reference = ways.includes("float") ? "float" : ways.at(-1);

  place.replaceChildren();
  for (const way of ways) {
    const input = {
      type: "radio", name: "reference", value: way, checked: way === reference,
      onchange: () => { reference = way; choose(way); },
    };
    const parts = {
      time: make("span", { class: "time" }, "–"),
      asks: make("span", { class: "asks" }),
      bar: make("span", { class: "bar" }),
      shared: make("span", { class: "shared" }),
      list: make("ol", { "aria-label": `By ${way} search` }),
    };
    const size = bytes[way] === undefined ? null : make("span", {}, `${number(bytes[way])} bytes an item`);
    parts.column = make(
      "section",
      { class: "column", "aria-labelledby": `way-${way}`, "data-way": way },
      make(
        "div", { class: "head" },
        make("h3", { id: `way-${way}` }, way),
        make("p", { class: "what" }, WAYS[way] ?? ""),
        make("p", { class: "cost" }, make("span", {}, parts.time, " ", parts.asks), size),
        make("span", { class: "track", "aria-hidden": "true" }, parts.bar),
        make("label", { class: "reference" }, make("input", input), make("span", {}, "compare with this")),
        parts.shared,
      ),
      parts.list,
    );
    columns.set(way, parts);
    place.append(parts.column);
  }
  place.onkeydown = move;
  const stop = showWhichIsOn(place, ways);

  /** Show that answers are on their way. */
  function wait(k) {
    for (const { column, list, time, asks } of columns.values()) {
      column.setAttribute("aria-busy", "true");
      time.textContent = "–";
      asks.textContent = "";
      if (list.querySelector("button")) continue;
      list.replaceChildren(...Array.from({ length: k }, () => make("li", { class: "loading", "aria-hidden": "true" })));
    }
    lineUp();
  }

  /** Show that no answer will come; the lists of before stay. */
  function fail() {
    for (const { column, list } of columns.values()) {
      column.removeAttribute("aria-busy");
      if (!list.querySelector("button")) list.replaceChildren(make("li", { class: "none" }, "No answer."));
    }
    lineUp();
  }

  /** Give every rank the same height in all lists. */
  function lineUp() {
    const ranks = Math.max(1, ...[...columns.values()].map(({ list }) => list.children.length));
    place.style.setProperty("--ranks", ranks);
  }

  /** Show the answers that there are, a Map from way to answer. */
  function show(answers) {
    const held = document.activeElement?.closest("#columns button[data-id]");
    const heldWay = held?.closest("[data-way]").dataset.way;
    const heldRank = held && [...held.closest("ol").querySelectorAll("button")].indexOf(held);
    const compared = answers.get(reference)?.results[0].items.map((item) => item.id);
    for (const [way, parts] of columns) {
      const answer = answers.get(way);
      if (!answer) continue;
      const items = answer.results[0].items;
      parts.column.removeAttribute("aria-busy");
      parts.column.classList.toggle("is-reference", way === reference);
      const shared = compared && items.filter((item) => compared.includes(item.id)).length;
      parts.shared.textContent =
        way === reference ? "the list compared with" : compared ? `${shared} of ${items.length} as by ${reference}` : "";
      const marks = way === reference ? undefined : compared;
      parts.list.replaceChildren(...items.map((item, rank) => row(item, rank, marks)));
      if (!items.length) parts.list.append(make("li", { class: "none" }, "Nothing is left to recommend."));
      parts.list.querySelector("button")?.setAttribute("tabindex", "0");
    }
    lineUp();
    if (!held) return;
    const buttons = [...columns.get(heldWay).list.querySelectorAll("button")];
    const next = buttons[Math.min(heldRank, buttons.length - 1)];
    if (next) stopAt(buttons, next);
    (next ?? byId("query")).focus({ preventScroll: true });
  }

  /** Show the median time of each way; `times` is a Map from way to the milliseconds of its asks. */
  function showTimes(times) {
    const medians = new Map([...times].map(([way, values]) => [way, median(values)]));
    const slowest = Math.max(...medians.values());
    for (const [way, { time, asks, bar }] of columns) {
      if (!medians.has(way)) continue;
      const n = times.get(way).length;
      time.textContent = milliseconds(medians.get(way));
      asks.textContent = n > 1 ? `median of ${n}` : "";
      bar.style.inlineSize = `${Math.max(2, (100 * medians.get(way)) / (slowest || 1))}%`;
    }
  }

  /** Add the reasons that came after the lists; nothing else moves. */
  function showReasons(answers) {
    for (const [way, { list }] of columns) {
      for (const [rank, item] of (answers.get(way)?.results[0].items ?? []).entries()) {
        const entry = list.children[rank], line = reasonLine(item);
        entry?.querySelector(".because")?.remove();
        if (line) entry?.querySelector("button")?.after(line);
      }
    }
  }

  function row(item, rank, compared) {
    const { title, more } = named(item);
    const before = compared ? compared.indexOf(item.id) : rank;
    let mark = null;
    if (before < 0) mark = make("span", { class: "mark absent" }, `not by ${reference}`);
    else if (before !== rank) {
      const up = before > rank, places = Math.abs(before - rank);
      const far = `${places} ${up ? "higher" : "lower"} than by ${reference}`;
      mark = make(
        "span", { class: "mark moved", title: far },
        make("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"} ${places}`),
        make("span", { class: "unseen" }, far),
      );
    }
    const button = make(
      "button",
      {
        type: "button", tabindex: "-1", "data-id": item.id, title: `Pick ${title} too`, onclick: () => pick(item),
        onmouseenter: () => light(item.id, true), onmouseleave: () => light(item.id, false),
        onfocus: ({ target }) => light(item.id, target.matches(":focus-visible")), onblur: () => light(item.id, false),
      },
      make("span", { class: "rank", "aria-hidden": "true" }, String(rank + 1)),
      make(
        "span", { class: "words" },
        words(title, { class: "title" }),
        mark || more ? make("span", { class: "beside" }, mark, more ? words(more, { class: "more" }) : null) : null,
      ),
    );
    return make("li", { class: before < 0 ? "differs" : undefined }, button, reasonLine(item), effectLine(item, rank));
  }

  /** Show where an item stands in the other lists. */
  function light(id, on) {
    for (const button of place.querySelectorAll("button[data-id]")) {
      if (button.dataset.id === id) button.classList.toggle("lit", on);
    }
  }

  /** Arrow keys go through the lists; Tab goes from list to list. */
  function move(event) {
    const button = event.target.closest("button[data-id]");
    const step = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[event.key];
    if (!button || !step) return;
    const lists = [...columns.values()].map(({ list }) => [...list.querySelectorAll("button")]);
    const column = lists.findIndex((list) => list.includes(button));
    const next = lists[column + step[0]]?.at(Math.min(lists[column].indexOf(button) + step[1], lists[column + step[0]].length - 1));
    if (!next || (step[1] < 0 && lists[column].indexOf(button) === 0)) return;
    event.preventDefault();
    stopAt(next.closest("ol").querySelectorAll("button"), next);
    next.focus();
  }

  return { wait, fail, show, showReasons, showTimes, stop };
}

/** Where the lists are wider than the screen, name them above and mark the one in view. Returns what ends it. */
function showWhichIsOn(place, ways) {
  const bar = byId("ways"), calm = matchMedia("(prefers-reduced-motion: reduce)");
  const columns = [...place.children];
  const left = (column) => column.offsetLeft - columns[0].offsetLeft;
  const buttons = ways.map((way, at) => {
    const go = () => place.scrollTo({ left: left(columns[at]), behavior: calm.matches ? "auto" : "smooth" });
    return make("button", { type: "button", onclick: go }, way);
  });
  bar.replaceChildren(...buttons);

  function mark() {
    bar.hidden = place.hidden || place.scrollWidth <= place.clientWidth + 1;
    if (bar.hidden) return;
    const atEnd = place.scrollLeft + place.clientWidth >= place.scrollWidth - 2;
    const distances = columns.map((column) => Math.abs(left(column) - place.scrollLeft));
    const on = atEnd ? columns.length - 1 : distances.indexOf(Math.min(...distances));
    buttons.forEach((button, at) => {
      if (at === on) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    const { offsetLeft, offsetWidth } = buttons[on];
    bar.scrollTo({ left: offsetLeft + offsetWidth / 2 - bar.clientWidth / 2 });
  }

  const watch = new ResizeObserver(mark);
  watch.observe(place);
  place.onscroll = mark;
  mark();
  return () => watch.disconnect();
}
