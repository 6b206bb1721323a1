// The page: picks go in, a list by each search way and its codes come out.

import { describeModel, encodeHistory, encodeItems, findItems, forgetKey, Problem, recommend, useKey } from "./api.js";
import { showCard } from "./card.js";
import { hideCodes, showCodes, showOwn } from "./codes.js";
import { byId, make, named, number, say } from "./dom.js";
import { makeLists } from "./lists.js";
import { addReasons } from "./reasons.js";
import { searchField, showPicked, showStarters } from "./picker.js";

const N_STARTERS = 8;
const N_STRIPS = 10;
const EMPTY = "Your code is empty until something is picked.";

let model, lists;
let asking = new AbortController();
const picked = new Map(); // from id to item
const answers = new Map(); // from search way to answer
let encoded = null; // what the strips are drawn from

function failed(problem, again) {
  if (problem.name === "AbortError") return;
  if (!(problem instanceof Problem)) throw problem;
  const locked = problem.status === 401;
  byId("key-form").hidden = !locked;
  byId("problem").hidden = locked;
  if (locked) {
    byId("key-problem").textContent = problem.key === null ? "" : "This key was refused.";
    forgetKey(problem.key);
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      useKey(byId("key").value);
      byId("key-form").hidden = true;
      again();
    };
    byId("key").select();
    byId("key").focus();
    return;
  }
  byId("problem-text").textContent = problem.message;
  byId("again").onclick = () => {
    byId("problem").hidden = true;
    again();
  };
}

function pick(item) {
  if (picked.has(item.id)) return say(`${named(item).title} is picked already`);
  picked.set(item.id, item);
  changed(`${named(item).title} picked`);
}

function remove(item) {
  const place = [...picked.keys()].indexOf(item.id);
  picked.delete(item.id);
  changed(`${named(item).title} removed`);
  const chips = byId("chips").querySelectorAll("button");
  (chips[Math.min(place, chips.length - 1)] ?? byId("query")).focus();
}

function changed(what) {
  const within = document.activeElement?.closest("#columns, #starters") !== null;
  showPicked([...picked.values()], remove);
  refresh(what);
  if (within) byId("query").focus({ preventScroll: true }); // what had the focus goes away
}

/** Ask every search way, one after the other: their times would be each other's otherwise. */
async function refresh(what = "") {
  asking.abort();
  const { signal } = (asking = new AbortController());
  const ids = [...picked.keys()], k = Number(byId("k").value);
  say(what);
  byId("problem").hidden = true;
  byId("empty").hidden = ids.length > 0;
  byId("columns").hidden = !ids.length;
  answers.clear();
  encoded = null;
  if (!ids.length) {
    hideCodes();
    return showOwn(null, model.n_bits, EMPTY);
  }
  lists.wait(k);
  try {
    const query = await encodeHistory(ids, signal);
    for (const way of model.search_ways) {
      answers.set(way, await recommend(ids, k, way, signal));
    }
    lists.show(answers);
    const first = answers.values().next().value.results[0];
    const shown = new Map();
    for (const answer of answers.values()) {
      for (const item of answer.results[0].items.slice(0, N_STRIPS)) shown.set(item.id, item);
    }
    const rows = await encodeItems([...shown.keys()], signal);
    encoded = { query, rows: new Map([...shown.keys()].map((id, place) => [id, rows[place]])) };
    drawCodes();
    if (answers.get(model.search_ways[0]).model_version !== model.version) await described();
    await addReasons(ids, answers, signal);
    lists.show(answers);
    say(`${what ? `${what}. ` : ""}${first.items.length} recommendations by ${answers.size} search ways`);
  } catch (problem) {
    failed(problem, () => refresh());
  }
}

function drawCodes() {
  const items = answers.get(byId("codes-of").value)?.results[0].items.slice(0, N_STRIPS);
  if (!encoded?.query.code || !items) return hideCodes();
  const rows = items.map((item) => encoded.rows.get(item.id));
  const from = `folded in from ${picked.size === 1 ? "one item" : `${picked.size} items`}`;
  showCodes(encoded.query.code, items, rows, byId("gather").checked, from);
  const bytes = model.n_bits / 8, floats = 4 * model.embedding_dim;
  showOwn(encoded.query.code, model.n_bits, `Your code, ${from}: ${number(bytes)} bytes where floats take ${number(floats)}.`);
}

/** Show what answers: at the start, and again when another version has taken over. */
async function described() {
  model = await describeModel();
  byId("version").textContent = `${model.version} · ${number(model.n_items)} items · ${model.n_bits} bits`;
  showCard(model);
}

async function start() {
  try {
    await described();
    showOwn(null, model.n_bits, EMPTY);
    byId("codes-of").replaceChildren(...model.search_ways.map((way) => make("option", { value: way }, way)));
    byId("columns").replaceChildren();
    lists = makeLists(model.search_ways, model.bytes_per_item, { choose: () => lists.show(answers), pick });
    showStarters(await findItems("", N_STARTERS), pick);
    byId("empty").hidden = picked.size > 0;
  } catch (problem) {
    byId("version").textContent = "no answer";
    failed(problem, start);
  }
}

searchField({ find: findItems, pick, isPicked: (item) => picked.has(item.id), failed });
byId("clear").addEventListener("click", () => {
  picked.clear();
  changed("All picks removed");
  byId("query").focus();
});
byId("k").addEventListener("change", () => picked.size && refresh());
byId("codes-of").addEventListener("change", drawCodes);
byId("gather").addEventListener("change", drawCodes);
start();
