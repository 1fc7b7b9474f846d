// DNSimple's platform states, the worst first.
import { board } from "./board.js";
import { flash, insertSorted, matches, say } from "./shared.js";
import { count, element } from "./words.js";

const SEVERITY = ["error", "warning", "unknown", "ok"];
const SIGNS = {
  ok: "M4 10l4 4 8-9", warning: "M10 4v7M10 15v.5", error: "M5 5l10 10M15 5L5 15", unknown: "M7 7.5a3 3 0 1 1 4 2.8c-.8.4-1 .9-1 1.7M10 15.4v.2",
};
const list = document.getElementById("states");
const items = new Map();

export function clearStates() {
  items.clear();
  list.replaceChildren();
}

export function drawStates(keys, quietly) {
  for (const key of keys) {
    const state = board.states.get(key);
    items.get(key)?.remove();
    items.delete(key);
    if (!state) continue;
    const item = element("li", { className: "state" });
    item.style.setProperty("--tone", `var(--${state.state})`);
    item.style.setProperty("--tint", `var(--${state.state}-bg)`);
    const chip = element("span", { className: "chip" });
    chip.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="10" fill="currentColor"/><path d="${SIGNS[state.state]}" fill="none" stroke="var(--panel)" stroke-width="2.4" stroke-linecap="round"/></svg>`;
    chip.append(state.state);
    const place = element("p", { className: "place", title: `${state.resource}, ${state.context}` });
    place.append(element("span", { className: "mono", textContent: state.resource }), ` · ${state.context}`);
    item.append(chip, element("p", { className: "title", textContent: state.title ?? "" }), place);
    if (state.message) item.append(element("p", { className: "detail", textContent: state.message }));
    item.dataset.place = `${SEVERITY.indexOf(state.state)} ${state.resource} ${state.context}`;
    item.dataset.text = `${state.resource} ${state.context} ${state.title ?? ""} ${state.message ?? ""} ${state.state}`;
    items.set(key, item);
    insertSorted(list, item);
    if (!quietly) flash(item);
  }
  filterStates();
}

export function filterStates() {
  const tally = Object.fromEntries(SEVERITY.map((name) => [name, 0]));
  for (const state of board.states.values()) tally[state.state] += 1;
  document.getElementById("tally").textContent = SEVERITY.filter((name) => tally[name]).map((name) => `${count(tally[name])} ${name}`).join(" · ");
  let shown = 0;
  for (const item of items.values()) {
    item.hidden = !matches(item.dataset.text);
    shown += !item.hidden;
  }
  say("dnsimple", "platform state", board.states.size, shown);
}
