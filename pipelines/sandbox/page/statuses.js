// Stativate's statuses as cards.
import { board } from "./board.js";
import { flash, insertSorted, matches, say } from "./shared.js";
import { ago, count, element, width } from "./words.js";

// Stativate documents the numbers 1 to 12 but not their colours. White text stands out from each of these by 4.5:1.
const PALETTE = ["#b42318", "#b54708", "#8a6100", "#4d7c0f", "#15803d", "#0f766e", "#0e7490", "#1d4ed8", "#4338ca", "#7e22ce", "#be185d", "#475569"];
const NO_COLOUR = "#52525b";
const list = document.getElementById("statuses");
const cards = new Map();

export function clearStatuses() {
  cards.clear();
  list.replaceChildren();
}

export function drawStatuses(keys, quietly) {
  for (const key of keys) {
    const status = board.statuses.get(key);
    if (!status) {
      cards.get(key)?.remove();
      cards.delete(key);
      continue;
    }
    const place = `${status.name ?? ""} ${key}`;
    const card = cards.get(key) ?? element("article", { className: "card" });
    if (!cards.has(key)) {
      card.innerHTML = '<p class="name"></p><p class="value"></p><p class="when"><time></time><span class="told"><svg viewBox="0 0 12 12" aria-hidden="true"><path d="M6 .5a3.6 3.6 0 0 0-3.6 3.6v2.4L1.2 8.6v.6h9.6v-.6L9.6 6.5V4.1A3.6 3.6 0 0 0 6 .5zM4.7 10a1.35 1.35 0 0 0 2.6 0z"/></svg><span></span></span></p>';
      cards.set(key, card);
    }
    if (card.dataset.place !== place) {
      card.remove();
      card.dataset.place = place;
      insertSorted(list, card);
    }
    fillCard(card, key, status);
    if (!quietly) flash(card);
  }
  filterStatuses();
}

function fillCard(card, key, status) {
  const value = status.value ?? "–";
  card.style.setProperty("--colour", PALETTE[status.colorNo - 1] ?? NO_COLOUR);
  card.style.setProperty("--length", width(value));
  card.title = [status.name, key, status.description].filter(Boolean).join("\n");
  card.querySelector(".name").textContent = status.name ?? key;
  card.querySelector(".value").textContent = value;
  const told = card.querySelector(".told");
  told.title = `Subscribers were notified ${count(status.notifications)} time${status.notifications === 1 ? "" : "s"}`;
  told.lastElementChild.textContent = count(status.notifications);
  card.querySelector("time").dateTime = status.valueChangedAt ?? status.updatedAt;
}

export function filterStatuses() {
  let shown = 0;
  for (const [key, card] of cards) {
    card.hidden = !matches(key, card.querySelector(".name").textContent);
    shown += !card.hidden;
  }
  say("stativate", "status", board.statuses.size, shown);
}

export function tellTimes() {
  for (const time of document.querySelectorAll("#statuses time")) {
    if (time.dateTime) time.textContent = ago(time.dateTime);
  }
}
