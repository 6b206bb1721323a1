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

const SHORT = 80;

/** Return what an item is called, and a few words more. */
export function named(item) {
  const known = Object.entries(item.metadata ?? {});
  const first =
    known.find(([name]) => name.toLowerCase() === "title") ??
    known.find(([name]) => name.toLowerCase() === "name") ??
    known.find(([, value]) => typeof value === "string" && value);
  const id = item.id.startsWith('"') ? JSON.parse(item.id) : item.id;
  const more = known
    .filter(([name, value]) => name !== first?.[0] && (typeof value === "number" || typeof value === "string"))
    .map(([, value]) => String(value).replaceAll("|", ", "))
    .filter((text) => text && text.length <= SHORT);
  return { title: first ? String(first[1]) : id, more: more.slice(0, 2).join(" · ") };
}
