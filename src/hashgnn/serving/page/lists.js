// The same list by every search way, side by side, with what differs from one of them marked.

import { byId, make, milliseconds, named, number } from "./dom.js";
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

  for (const way of ways) {
    const input = {
      type: "radio", name: "reference", value: way, checked: way === reference,
      onchange: () => { reference = way; choose(way); },
    };
    const parts = {
      time: make("span", { class: "time" }, "–"),
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
        make("p", { class: "cost" }, parts.time, size),
        make("span", { class: "track", "aria-hidden": "true" }, parts.bar),
        make("label", { class: "reference" }, make("input", input), make("span", {}, "compare with this")),
        parts.shared,
      ),
      parts.list,
    );
    columns.set(way, parts);
    place.append(parts.column);
  }
  place.addEventListener("keydown", move);

  function wait(k) {
    for (const { column, list } of columns.values()) {
      column.setAttribute("aria-busy", "true");
      if (list.children.length) continue;
      list.replaceChildren(...Array.from({ length: k }, () => make("li", { class: "loading", "aria-hidden": "true" })));
    }
  }

  /** Show the answers that there are, a Map from way to answer. */
  function show(answers) {
    const compared = answers.get(reference)?.results[0].items.map((item) => item.id);
    const slowest = Math.max(...[...answers.values()].map((answer) => answer.milliseconds), 0);
    for (const [way, parts] of columns) {
      const answer = answers.get(way);
      if (!answer) continue;
      const items = answer.results[0].items;
      parts.column.removeAttribute("aria-busy");
      parts.column.classList.toggle("is-reference", way === reference);
      parts.time.textContent = milliseconds(answer.milliseconds);
      parts.bar.style.inlineSize = `${Math.max(2, (100 * answer.milliseconds) / (slowest || 1))}%`;
      const shared = compared && items.filter((item) => compared.includes(item.id)).length;
      parts.shared.textContent =
        way === reference ? "the others are marked against it" : compared ? `${shared} of ${items.length} as by ${reference}` : "";
      const marks = way === reference ? undefined : compared;
      parts.list.replaceChildren(...items.map((item, rank) => row(item, rank, marks)));
      if (!items.length) parts.list.append(make("li", { class: "none" }, "Nothing is left to recommend."));
      parts.list.querySelector("button")?.setAttribute("tabindex", "0");
    }
  }

  function row(item, rank, compared) {
    const { title, more } = named(item);
    const before = compared ? compared.indexOf(item.id) : rank;
    let mark = null;
    if (before < 0) mark = make("span", { class: "mark absent" }, `not by ${reference}`);
    else if (before !== rank) {
      const up = before > rank, places = Math.abs(before - rank);
      mark = make(
        "span", { class: "mark moved", title: `${places} ${up ? "higher" : "lower"} than by ${reference}` },
        make("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"} ${places}`),
        make("span", { class: "unseen" }, `${places} ${up ? "higher" : "lower"} than by ${reference}`),
      );
    }
    const button = make(
      "button",
      {
        type: "button", tabindex: "-1", "data-id": item.id, title: `Pick ${title} too`, onclick: () => pick(item),
        onmouseenter: () => light(item.id, true), onmouseleave: () => light(item.id, false),
        onfocus: () => light(item.id, true), onblur: () => light(item.id, false),
      },
      make("span", { class: "rank", "aria-hidden": "true" }, String(rank + 1)),
      make("span", { class: "words" }, make("span", { class: "title" }, title), make("span", { class: "more" }, more), mark),
    );
    return make("li", { class: before < 0 ? "differs" : undefined }, button, reasonLine(item));
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
    for (const other of next.closest("ol").querySelectorAll("button")) other.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  return { wait, show };
}
