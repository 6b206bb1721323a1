// Codes as bits, one cell each; the ones that differ from the query's have the colour of distance.

import { byId, drawn, make, named, number, words } from "./dom.js";

const ROW = 64; // cells of a strip's row
const GAP = 0.14, SMALL_GAP = 0.04; // bits that differ are larger too, for those who do not tell the colours

/** Return the bits of a hexadecimal code, most significant first. */
function bitsOf(code) {
  return [...code].flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit ? 1 : 0)));
}

/** Draw bits; `differs` marks some of them, `order` says which cell shows which bit. */
function cells(bits, { row, label, differs = [], order = [...bits.keys()], stretch = false }) {
  const paths = { off: "", on: "", "differs off": "", "differs on": "" };
  const marks = differs.length > 0;
  order.forEach((bit, cell) => {
    const gap = marks && !differs[bit] ? GAP : SMALL_GAP, side = 1 - 2 * gap;
    const kind = `${differs[bit] ? "differs " : ""}${bits[bit] ? "on" : "off"}`;
    paths[kind] += `M${(cell % row) + gap} ${Math.floor(cell / row) + gap}h${side}v${side}h${-side}z`;
  });
  const height = Math.ceil(bits.length / row);
  const picture = drawn("svg", { viewBox: `0 0 ${Math.min(row, bits.length)} ${height}`, role: "img", "aria-label": label });
  if (stretch) {
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("class", "strip");
    picture.style.setProperty("--rows", height);
  }
  for (const [kind, path] of Object.entries(paths)) if (path) picture.append(drawn("path", { class: kind, d: path }));
  return picture;
}

/** Show the query's code next to the picks; without one, as many empty cells as a code has. */
export function showOwn(code, n_bits, caption) {
  const bits = code ? bitsOf(code) : new Array(n_bits).fill(0);
  const label = code ? `Your code, ${n_bits} bits` : "No code yet";
  byId("own-code").replaceChildren(cells(bits, { row: n_bits <= 128 ? 16 : 32, label }));
  byId("own-caption").textContent = caption;
}

/** Show the query's code and those of some items; `encoded` are their answers of /v1/encode, in order. */
export function showCodes(code, items, encoded, gather, from) {
  const own = bitsOf(code);
  const row = (kind, title, more, picture, distance, unit) =>
    make(
      "li", { class: kind },
      make("div", { class: "words" }, words(title, { class: "title" }), make("span", { class: "more" }, more)),
      picture,
      make("div", { class: "distance" }, make("strong", {}, String(distance)), make("span", {}, unit)),
    );
  const rows = [row("own", "Your code", from, cells(own, { row: ROW, label: `${own.length} bits`, stretch: true }), own.length, "bits")];
  items.forEach((item, place) => {
    const bits = bitsOf(encoded[place].code), bias = encoded[place].item_bias;
    const differs = bits.map((bit, at) => bit !== own[at]);
    const order = [...bits.keys()];
    if (gather) order.sort((a, b) => differs[b] - differs[a] || a - b);
    const distance = differs.filter(Boolean).length;
    const label = `${distance} of ${bits.length} bits differ`;
    const picture = cells(bits, { row: ROW, label, differs, order, stretch: true });
    const more = bias === null ? "" : `bias ${number(Number(bias.toFixed(1)))} bits`;
    rows.push(row(undefined, named(item).title, more, picture, distance, "differ"));
  });
  byId("strip-list").replaceChildren(...rows);
  byId("strips").hidden = false;
  byId("codes-empty").hidden = true;
}

export function hideCodes() {
  byId("strips").hidden = true;
  byId("codes-empty").hidden = false;
}
