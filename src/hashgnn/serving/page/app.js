// The page: picks go in, a list by each search way and its codes come out.

import { describeModel, encodeHistory, encodeItems, findItems, forgetKey, Problem, recommend, useKey } from "./api.js";
import { showCard, showNoCard } from "./card.js";
import { hideCodes, showCodes, showOwn } from "./codes.js";
import { byId, make, named, number, say } from "./dom.js";
import { filterBox } from "./filter.js";
import { makeLists } from "./lists.js";
import { addReasons } from "./reasons.js";
import { searchField, showPicked, showStarters } from "./picker.js";

const N_STARTERS = 8;
const N_STRIPS = 10;
const N_ASKS = 5; // of each search way; their median is shown
const CALM = 400; // ms without a change before the times are measured
const EMPTY = "Your code is empty until something is picked.";
const NOTE = "The same picks, the same model. What differs from the list compared with is marked.";
const POPULAR = "The model knows nothing of these picks, so the lists are the most popular items.";

let model, lists;
let asking = new AbortController();
let starters = [];
let measures = true; // until a limit of requests says no
const picked = new Map(); // from id to item
const answers = new Map(); // from search way to answer
const times = new Map(); // from search way to the milliseconds of its asks
const asked = {}; // what else a request for recommendations says, as JSON values
let encoded = null; // what the strips are drawn from

function failed(problem, again) {
  if (problem.name === "AbortError") return;
  if (!(problem instanceof Problem)) throw problem;
  const locked = problem.status === 401;
  byId("key-form").hidden = !locked;
  byId("problem").hidden = locked;
  if (locked) return askForKey(problem.key, again);
  if (problem.status === 422 && asked.where && /^where\b/i.test(problem.message)) {
    byId("problem").hidden = true;
    return filter.tell(problem.message);
  }
  byId("problem-text").textContent = problem.message;
  byId("again").onclick = () => {
    byId("problem").hidden = true;
    byId("query").focus({ preventScroll: true }); // the button with the focus went away
    again();
  };
}

function askForKey(refused, again) {
  const field = byId("key");
  const tell = (text) => {
    byId("key-problem").textContent = text;
    field.setAttribute("aria-invalid", String(text !== ""));
    field.select();
    field.focus();
  };
  forgetKey(refused);
  byId("key-form").onsubmit = (event) => {
    event.preventDefault();
    if (!useKey(field.value.trim())) return tell("This key was refused: a key has letters, digits and signs of ASCII, without spaces.");
    byId("key-problem").textContent = "";
    byId("key-form").hidden = true;
    byId("query").focus({ preventScroll: true });
    again();
  };
  tell(refused === null ? byId("key-problem").textContent : "This key was refused."); // until the next key
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

function toggle(item) {
  if (!picked.has(item.id)) return pick(item);
  picked.delete(item.id);
  changed(`${named(item).title} removed`);
}

function changed(what) {
  showPicked([...picked.values()], remove);
  showStarters(starters, toggle, (item) => picked.has(item.id));
  refresh(what);
}

/** Ask every search way, one after the other: their times would be each other's otherwise. */
async function refresh(what = "") {
  asking.abort();
  const { signal } = (asking = new AbortController());
  const ids = [...picked.keys()], k = Number(byId("k").value);
  say(what);
  byId("problem").hidden = true;
  byId("empty").hidden = ids.length > 0;
  const held = !ids.length && document.activeElement?.closest("#columns");
  byId("columns").hidden = !ids.length;
  if (held) byId("query").focus({ preventScroll: true });
  answers.clear();
  times.clear();
  encoded = null;
  byId("lists-note").textContent = NOTE;
  filter.showEffect(null);
  if (!model) return; // the problem is shown, and its button begins again
  if (!ids.length) {
    byId("ways").hidden = true;
    hideCodes();
    return showOwn(null, model.n_bits, EMPTY);
  }
  lists.wait(k);
  try {
    const query = await encodeHistory(ids, signal);
    for (const way of model.search_ways) {
      answers.set(way, await recommend(ids, k, way, asked, signal));
      times.set(way, [answers.get(way).milliseconds]);
    }
    lists.show(answers);
    lists.showTimes(times);
    const first = answers.values().next().value.results[0];
    filter.showEffect(first.rules, model.n_items);
    if (first.source === "popular") byId("lists-note").textContent = POPULAR;
    const shown = new Map();
    for (const answer of answers.values()) {
      for (const item of answer.results[0].items.slice(0, N_STRIPS)) shown.set(item.id, item);
    }
    const rows = shown.size ? await encodeItems([...shown.keys()], signal) : [];
    encoded = { query, rows: new Map([...shown.keys()].map((id, place) => [id, rows[place]])) };
    drawCodes();
    if (answers.get(model.search_ways[0]).model_version !== model.version && (await hasOtherWays())) return refresh(what);
    await addReasons(ids, answers, signal);
    lists.showReasons(answers);
    say(`${what ? `${what}. ` : ""}${first.items.length} recommendations by ${answers.size} search ways`);
  } catch (problem) {
    if (problem.status === 422 && (await hasOtherWays())) return refresh(what);
    if (!signal.aborted) lists.fail();
    return failed(problem, () => refresh());
  }
  await measure(ids, k, signal);
}

/** Ask again, every way in turn: the median of several times says more than the first one. */
async function measure(ids, k, signal) {
  await new Promise((resolve) => setTimeout(resolve, CALM));
  for (let round = 1; round < N_ASKS; round += 1) {
    for (const way of model.search_ways) {
      if (signal.aborted || !measures) return;
      try {
        const { milliseconds } = await recommend(ids, k, way, asked, signal);
        if (signal.aborted) return;
        times.get(way).push(milliseconds);
      } catch (problem) {
        if (!(problem instanceof Problem) && problem.name !== "AbortError") throw problem;
        measures = problem.status !== 429;
        return; // the lists are there; the next change tells what is wrong
      }
    }
    if (!signal.aborted) lists.showTimes(times);
  }
}

function drawCodes() {
  const items = answers.get(byId("codes-of").value)?.results[0].items.slice(0, N_STRIPS);
  if (!encoded?.query.code || !items?.length) return hideCodes();
  const rows = items.map((item) => encoded.rows.get(item.id));
  const from = `folded in from ${picked.size === 1 ? "one item" : `${picked.size} items`}`;
  showCodes(encoded.query.code, items, rows, byId("gather").checked, from);
  const bytes = model.n_bits / 8, floats = 4 * model.embedding_dim;
  showOwn(encoded.query.code, model.n_bits, `Your code, ${from}: ${number(bytes)} bytes where floats take ${number(floats)}.`);
}

/** Show what answers: at the start, and again when another version has taken over. */
async function described() {
  const before = model?.search_ways.join();
  model = await describeModel();
  byId("version").textContent = `${model.version} · ${number(model.n_items)} items · ${model.n_bits} bits`;
  showCard(model);
  filter.offer(model.attribute_columns);
  if (model.search_ways.join() === before) return;
  byId("codes-of").replaceChildren(...model.search_ways.map((way) => make("option", { value: way }, way)));
  lists?.stop();
  lists = makeLists(model.search_ways, model.bytes_per_item, { choose: () => lists.show(answers), pick });
}

/** Look whether another version has taken over that has other search ways. */
async function hasOtherWays() {
  const before = lists;
  try {
    await described();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
  return lists !== before;
}

async function start() {
  try {
    await described();
    showOwn(null, model.n_bits, EMPTY);
    starters = await findItems("", N_STARTERS);
    showStarters(starters, toggle, (item) => picked.has(item.id));
    byId("empty").hidden = picked.size > 0;
    if (picked.size) refresh();
  } catch (problem) {
    byId("version").textContent = "no answer";
    if (!model) showNoCard();
    byId("popular").hidden = !starters.length;
    failed(problem, start);
  }
}

const filter = filterBox((where) => {
  if (where) asked.where = where;
  else delete asked.where;
  if (picked.size) refresh(where ? "Filter applied" : "Filter removed");
});
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
