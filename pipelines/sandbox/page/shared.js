// What every board on the page needs: the filter, the flash of a change, sorted places, and words for nothing.
import { element } from "./words.js";

const order = new Intl.Collator(undefined, { numeric: true });
const still = matchMedia("(prefers-reduced-motion: reduce)");
let words = [];

export function filterBy(text) {
  words = text.toLowerCase().split(/\s+/).filter(Boolean);
}

export function matches(...texts) {
  const text = texts.join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

export function flash(node) {
  if (!still.matches) node.animate([{ boxShadow: "0 0 0 4px var(--flash)" }, { boxShadow: "0 0 0 4px transparent" }], { duration: 1600, easing: "ease-out" });
}

// Puts a node among its siblings, sorted by `data-place`.
export function insertSorted(parent, node) {
  let [low, high] = [0, parent.children.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    order.compare(parent.children[middle].dataset.place, node.dataset.place) < 0 ? (low = middle + 1) : (high = middle);
  }
  parent.insertBefore(node, parent.children[low] ?? null);
}

// Shows the note of a board that holds nothing, or of whose entries the filter leaves none.
export function say(section, what, held, shown) {
  const note = document.querySelector(`#${section} .empty`);
  note.hidden = shown > 0;
  if (shown) return;
  if (held) note.replaceChildren(`No ${what} matches the filter.`);
  else note.replaceChildren(`No ${what} yet. A sync in mode `, element("code", { textContent: "sandbox" }), " or ", element("code", { textContent: "pipelines demo" }), " fills this board.");
}
