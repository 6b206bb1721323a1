// Elements, and items as words. Text goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** Make an element: attributes by name, listeners by `on…`, then its children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make an SVG element. */
export function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Tell those who do not see the page what has happened. */
export function say(text) {
  byId("said").textContent = text;
}

const whole = new Intl.NumberFormat("en");
const rounded = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const number = (value) =>
  typeof value !== "number" ? String(value) : Number.isInteger(value) ? whole.format(value) : rounded.format(value);

export const milliseconds = (value) => `${value < 9.95 ? value.toFixed(2) : Math.round(value)} ms`;

/** Return the value in the middle; of two in the middle their mean. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/** Make text of other hands an element: it keeps its own direction, right to left too. */
export const words = (text, attributes = {}) => make("bdi", attributes, text);

/** Make one stop for Tab of some buttons; arrow keys go through them. */
export function oneStop(place) {
  place.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const buttons = [...place.querySelectorAll("button")], at = buttons.indexOf(event.target);
    const end = { Home: 0, End: buttons.length - 1 }[event.key];
    const next = buttons[end ?? at + step];
    if (at < 0 || !next) return;
    event.preventDefault();
    stopAt(buttons, next);
    next.focus();
  });
}

/** Let Tab stop at one of some buttons. */
export function stopAt(buttons, chosen) {
  for (const button of buttons) button.setAttribute("tabindex", button === chosen ? "0" : "-1");
}

const SHORT = 80;
const isText = (value) => typeof value === "string" && value.trim() !== "";
const isList = (value) => Array.isArray(value) && value.length > 0 && value.every(isText);
const isShown = (value) => typeof value === "number" || isText(value) || isList(value);
const asText = (value) => (isList(value) ? value.join(", ") : String(value));

/** Return what an item is called, and a few words more. */
export function named(item) {
  const known = Object.entries(item.metadata ?? {}).filter(([, value]) => isShown(value));
  const first =
    known.find(([name]) => name.toLowerCase() === "title") ??
    known.find(([name]) => name.toLowerCase() === "name") ??
    known.find(([, value]) => isText(value));
  const id = item.id.startsWith('"') ? JSON.parse(item.id) : item.id;
  const more = known
    .filter(([name]) => name !== first?.[0])
    .map(([, value]) => asText(value).replaceAll("|", ", "))
    .filter((text) => text.length <= SHORT);
  return { title: first ? asText(first[1]) : id, more: more.slice(0, 2).join(" · ") };
}
