// The boards, live: asks the feed for what changed and redraws only that.
import { drawAreas } from "./areas.js";
import { board, forgetOldDates, take } from "./board.js";
import { clearMatrix, drawMatrix, filterRows, showDays } from "./matrix.js";
import { filterBy } from "./shared.js";
import { clearStates, drawStates, filterStates } from "./states.js";
import { clearStatuses, drawStatuses, filterStatuses, tellTimes } from "./statuses.js";
import { drawTiles } from "./tiles.js";
import { clock, count, number } from "./words.js";

const POLL_MS = 1000;
const byId = (id) => document.getElementById(id);
let lastChange = 0;
let lastLook;
let newestDrawn;

function draw({ changed, fresh }) {
  if (fresh) for (const clear of [clearStatuses, clearMatrix, clearStates]) clear();
  if (fresh || changed.statuses.length) drawStatuses(changed.statuses, fresh);
  if (fresh || changed.meta || changed.series.length) {
    const moved = board.newest !== newestDrawn; // every chart ends at the newest date
    newestDrawn = board.newest;
    forgetOldDates();
    drawMatrix(moved ? [...board.series.keys()] : changed.series, fresh || changed.meta);
  }
  if (fresh || changed.states.length) drawStates(changed.states, fresh);
  if (fresh || changed.areas.length) drawAreas(fresh ? [] : changed.areas);
  drawTiles();
  tellTimes();
}

function pulse(state, text) {
  byId("pulse").dataset.state = state;
  byId("pulse").textContent = text;
}

async function ask() {
  try {
    return await (await fetch(`/feed?epoch=${board.epoch}&since=${board.at}`)).json();
  } catch {
    return null;
  }
}

function show(feed, seconds) {
  byId("sandbox-id").textContent = feed.id.slice(0, 8);
  const taken = take(feed);
  draw(taken);
  if (taken.changes) lastChange = Date.now();
  const rate = Math.max(Math.round(taken.changes / seconds), 1);
  if (taken.changes) pulse("busy", `${count(rate)} change${rate > 1 ? "s" : ""} a second`);
  else pulse("quiet", lastChange ? `up to date, last change ${clock(lastChange)}` : "live");
}

async function look() {
  const asked = performance.now();
  const feed = await ask();
  setTimeout(() => (document.hidden ? document.addEventListener("visibilitychange", look, { once: true }) : look()), POLL_MS);
  if (feed) show(feed, (asked - (lastLook ?? asked - POLL_MS)) / 1000);
  else pulse("lost", "sandbox not reachable, trying again");
  lastLook = asked;
}

byId("filter").addEventListener("input", (event) => {
  filterBy(event.target.value);
  filterStatuses();
  filterRows();
  filterStates();
  drawAreas([]);
});
byId("range").addEventListener("change", (event) => showDays(number(event.target.value)));
look();
