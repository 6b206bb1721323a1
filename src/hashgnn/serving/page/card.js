// The model card: what answers, how it was trained, what an item costs, whether the bits are used.

import { byId, drawn, make, number } from "./dom.js";

const HEALTH = [
  ["dead_bits", "Dead bits", "one value in 99 % of the codes"],
  ["mean_entropy", "Mean entropy", "of a bit; 1 is best"],
  ["mean_absolute_correlation", "Mean correlation", "of two bits; 0 is best"],
  ["largest_absolute_correlation", "Largest correlation", "of two bits"],
  ["collision_share", "Shared codes", "share that another one equals"],
];
const AGES = [[86_400, "day"], [3_600, "hour"], [60, "minute"], [1, "second"]];

export function showCard(model) {
  const next = model.next_version ? [["Next", `${model.next_version}, ${number(100 * model.next_share)} % of users`]] : [];
  const about = facts([
    ["Version", model.version],
    ...next,
    ["Saved", ago(model.age_seconds)],
    ["Encoder", model.encoder],
    ["Users", number(model.n_users)],
    ["Items", number(model.n_items)],
    ["Interactions", number(model.n_interactions)],
    ["Code", `${model.n_bits} bits${model.item_bias ? " and an item bias" : ""}`],
    ["Embedding", `${model.embedding_dim} floats`],
    ["Checksum", make("code", {}, model.checksum.slice(0, 12))],
  ]);
  byId("cards").replaceChildren(
    card("What answers", about),
    card("How it was trained", ...trained(model), ...sizes(model.bytes_per_item)),
    card("Code health", ...health(model)),
  );
}

/** Show that there is nothing to show yet. */
export function showNoCard() {
  byId("cards").replaceChildren(make("p", { class: "note" }, "The model is shown here as soon as the service answers."));
}

const card = (title, ...children) => make("article", { class: "card" }, make("h3", {}, title), ...children);

const facts = (rows) =>
  make("dl", {}, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));

function ago(seconds) {
  const [size, name] = AGES.find(([size]) => seconds >= size) ?? AGES.at(-1);
  const count = Math.floor(seconds / size);
  return `${count} ${name}${count === 1 ? "" : "s"} ago`;
}

function trained({ metrics, training }) {
  const measured = Object.entries(metrics).filter(([, value]) => typeof value === "number");
  const rows = measured.map(([name, value]) => [`${name}, validation`, number(value)]);
  if (training.epochs) rows.push(["Epochs", `${number(training.epochs)}${best(training)}`]);
  if (training.seconds) rows.push(["Time", `${number(Math.round(training.seconds))} s`]);
  const history = Array.isArray(training.history) ? training.history : [];
  const curves = [["loss", "Loss"], ...measured.map(([name]) => [name, `${name}, validation`])];
  const without = measured.length ? [] : [withoutValidation()];
  return [...(rows.length ? [facts(rows)] : []), ...without, ...curves.flatMap(([name, title]) => curve(title, history.map((epoch) => epoch[name])))];
}

const withoutValidation = () =>
  make(
    "p", { class: "note" }, "Trained on all interactions: no part was held out to validate. ",
    make("code", {}, "hashgnn evaluate"), " measures quality on a file of others.",
  );

const best = ({ epochs, best_epoch: at }) => (at && at !== epochs ? `, the best is ${number(at)}` : "");

/** Draw values, one an epoch, between their smallest and largest. */
function curve(title, values) {
  const known = values.filter((value) => typeof value === "number");
  if (known.length < 3 || known.length < values.length) return [];
  const low = Math.min(...known), high = Math.max(...known), height = 0.4;
  const points = known.map((value, at) => `${at / (known.length - 1)},${height * (1 - (value - low) / (high - low || 1))}`);
  const label = `${title} by epoch, from ${number(known[0])} to ${number(known.at(-1))}`;
  return [
    make("h4", {}, title, make("span", {}, `${number(known[0])} → ${number(known.at(-1))}`)),
    drawn(
      "svg", { viewBox: `0 0 1 ${height}`, preserveAspectRatio: "none", class: "curve", role: "img", "aria-label": label },
      drawn("polyline", { points: points.join(" ") }),
    ),
  ];
}

function sizes(bytes) {
  const most = Math.max(...Object.values(bytes));
  const rows = Object.entries(bytes).map(([way, value]) => {
    const bar = make("span", { class: "bar" });
    bar.style.inlineSize = `${Math.max(1.5, (100 * value) / most)}%`;
    const track = make("span", { class: "track", "aria-hidden": "true" }, bar);
    return make("div", {}, make("dt", {}, way), make("dd", {}, track, make("span", {}, number(value))));
  });
  return [make("h4", {}, "Bytes an item"), make("dl", { class: "sizes" }, ...rows)];
}

function health({ code_health: { item_codes: items, user_codes: users }, bit_balance: balances }) {
  const value = (side, name) => (side?.[name] === undefined ? "–" : number(side[name]));
  const head = make("tr", {}, make("td", {}), make("th", { scope: "col" }, "items"), make("th", { scope: "col" }, "users"));
  const rows = HEALTH.map(([name, title, more]) =>
    make(
      "tr", {},
      make("th", { scope: "row" }, title, make("span", { class: "more" }, more)),
      make("td", {}, value(items, name)),
      make("td", {}, value(users, name)),
    ),
  );
  return [
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    ...balance("item", balances.item_codes),
    ...balance("user", balances.user_codes),
  ];
}

/** Draw the share of codes in which each bit is +1, as bars from the half that is best. */
function balance(side, shares) {
  if (!shares?.length) return [];
  const width = 0.8;
  const bars = shares.map((share, bit) => `M${bit + (1 - width) / 2} 0.5h${width}V${1 - share}h${-width}z`).join("");
  const worst = shares.reduce((far, share) => (Math.abs(share - 0.5) > Math.abs(far - 0.5) ? share : far), 0.5);
  const label = `Share of ${side} codes in which each of ${shares.length} bits is +1; the farthest from a half is ${number(worst)}`;
  return [
    make("h4", {}, `Balance of the ${side} bits`),
    drawn(
      "svg", { viewBox: `0 0 ${shares.length} 1`, preserveAspectRatio: "none", class: "balance", role: "img", "aria-label": label },
      drawn("path", { d: bars }),
    ),
    make("p", { class: "note" }, `Share of codes with +1: a half is best, the farthest is ${number(worst)}.`),
  ];
}
