// The boards, live: asks the feed for what changed and redraws only that.
import { drawChart, hideTip } from "./charts.js";
import { ago, clock, count, day, element, number, reading } from "./words.js";

const POLL_MS = 1000;
const KEPT_DAYS = 370;
const ACTIVITY_SECONDS = 60;
const DAY_MS = 86_400_000;
// Stativate documents the numbers 1 to 12 but not their colours. White text stands out from each of these by 4.5:1.
const PALETTE = ["#b42318", "#b54708", "#8a6100", "#4d7c0f", "#15803d", "#0f766e", "#0e7490", "#1d4ed8", "#4338ca", "#7e22ce", "#be185d", "#475569"];
const NO_COLOUR = "#52525b";
const SEVERITY = ["error", "warning", "unknown", "ok"];
const SIGNS = {
  ok: "M4 10l4 4 8-9", warning: "M10 4v7M10 15v.5", error: "M5 5l10 10M15 5L5 15", unknown: "M7 7.5a3 3 0 1 1 4 2.8c-.8.4-1 .9-1 1.7M10 15.4v.2",
};
const BOARDS = [
  ["stativate", "Stativate", "statuses"], ["valuestreamer", "ValueStreamer", "KPI records"],
  ["dnsimple", "DNSimple", "platform states"], ["feedback_house", "feedback.house", "areas"],
];

const byId = (id) => document.getElementById(id);
const board = { epoch: "", at: 0, kpis: [], teams: [], statuses: new Map(), series: new Map(), states: new Map(), areas: new Map(), counts: {}, newest: "" };
const view = { cards: new Map(), cells: new Map(), rows: new Map(), states: new Map(), activity: {}, range: 91, words: [] };
let lastChange = 0;

function matches(...texts) {
  const text = texts.join(" ").toLowerCase();
  return view.words.every((word) => text.includes(word));
}

function flash(node) {
  node.classList.remove("flash");
  void node.offsetWidth; // restarts the animation
  node.classList.add("flash");
}

// ---- taking in what changed -----------------------------------------------------------------------------------------

function take(feed) {
  if (feed.fresh) {
    for (const map of [board.statuses, board.series, board.states, board.areas]) map.clear();
    Object.assign(board, { newest: "" });
    clearViews();
  }
  const before = board.at;
  Object.assign(board, { epoch: feed.epoch, at: feed.at, counts: feed.counts });
  if (feed.meta) Object.assign(board, { kpis: feed.meta.kpis, teams: feed.meta.teams });
  const changed = {
    statuses: merge(board.statuses, feed.statuses), states: merge(board.states, feed.states),
    areas: merge(board.areas, feed.areas), series: mergeSeries(feed.records), meta: Boolean(feed.meta),
  };
  return { changed, fresh: feed.fresh, changes: feed.fresh ? 0 : feed.at - before };
}

function merge(map, entries) {
  for (const [key, entry] of Object.entries(entries)) entry ? map.set(key, entry) : map.delete(key);
  return Object.keys(entries);
}

function mergeSeries(records) {
  for (const [key, dates] of Object.entries(records)) {
    const points = board.series.get(key) ?? new Map();
    for (const [date, values] of Object.entries(dates)) {
      values ? points.set(date, values) : points.delete(date);
      if (values && date > board.newest) board.newest = date;
    }
    points.size ? board.series.set(key, points) : board.series.delete(key);
  }
  return Object.keys(records);
}

function forgetOldDates() {
  const oldest = day(board.newest, -KEPT_DAYS);
  for (const points of board.series.values()) {
    if (points.size > KEPT_DAYS) for (const date of points.keys()) if (date < oldest) points.delete(date);
  }
}

// ---- tiles ----------------------------------------------------------------------------------------------------------

const tiles = new Map(BOARDS.map(([api, name, what]) => {
  const tile = element("a", { className: "tile", href: `#${api}` });
  tile.innerHTML = `<span class="name">${name}</span><b>0</b><span class="what">${what}</span><svg viewBox="0 0 ${ACTIVITY_SECONDS} 26" preserveAspectRatio="none" aria-hidden="true"><path/></svg><span class="traffic"><span class="asked"></span><span class="failed"></span></span>`;
  byId("tiles").append(tile);
  return [api, tile];
}));

function drawTiles() {
  let records = 0;
  for (const points of board.series.values()) records += points.size;
  const sizes = { stativate: board.statuses.size, valuestreamer: records, dnsimple: board.states.size, feedback_house: board.areas.size };
  for (const [api, tile] of tiles) {
    const { requests = 0, failed = 0 } = board.counts[api] ?? {};
    const activity = (view.activity[api] ??= { last: requests, bars: [] });
    activity.bars.push(Math.max(0, requests - activity.last));
    activity.last = requests;
    if (activity.bars.length > ACTIVITY_SECONDS) activity.bars.shift();
    tile.querySelector("b").textContent = count(sizes[api]);
    tile.querySelector(".asked").textContent = `${count(requests)} request${requests === 1 ? "" : "s"}`;
    tile.querySelector(".failed").textContent = failed ? `${count(failed)} failed` : "";
    tile.querySelector("path").setAttribute("d", bars(activity.bars));
  }
}

function bars(values) {
  const top = Math.max(8, ...values);
  const start = ACTIVITY_SECONDS - values.length;
  return "M0 25.3h60v.7h-60z" + values.map((value, index) => (value ? `M${start + index} 26h.75v${(-24 * value) / top}h-.75z` : "")).join("");
}

// ---- statuses -------------------------------------------------------------------------------------------------------

function drawStatuses(keys, quietly) {
  for (const key of keys) {
    const status = board.statuses.get(key);
    if (!status) {
      view.cards.get(key)?.remove();
      view.cards.delete(key);
      continue;
    }
    let card = view.cards.get(key);
    if (!card) {
      card = element("article", { className: "card" });
      card.innerHTML = '<p class="name"></p><p class="value"></p><p class="when"><time></time><span class="told"></span></p>';
      card.dataset.key = key;
      view.cards.set(key, card);
      insertSorted(byId("statuses"), card, (node) => `${board.statuses.get(node.dataset.key)?.name ?? ""} ${node.dataset.key}`);
    }
    fillCard(card, key, status);
    if (!quietly) flash(card);
  }
  filterStatuses();
}

function fillCard(card, key, status) {
  const value = status.value ?? "–";
  card.style.setProperty("--colour", PALETTE[status.colorNo - 1] ?? NO_COLOUR);
  card.style.setProperty("--length", Math.max(value.length, 1));
  card.title = `${key}${status.description ? `\n${status.description}` : ""}`;
  card.querySelector(".name").textContent = status.name ?? key;
  card.querySelector(".value").textContent = value;
  card.querySelector(".told").textContent = `told ${count(status.notifications)}×`;
  card.querySelector("time").dateTime = status.valueChangedAt ?? status.updatedAt;
}

function insertSorted(parent, node, sortKey) {
  const key = sortKey(node);
  let [low, high] = [0, parent.children.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    sortKey(parent.children[middle]).localeCompare(key, undefined, { numeric: true }) < 0 ? (low = middle + 1) : (high = middle);
  }
  parent.insertBefore(node, parent.children[low] ?? null);
}

function filterStatuses() {
  for (const [key, card] of view.cards) card.hidden = !matches(key, card.querySelector(".name").textContent);
  say("stativate", board.statuses.size, "No status yet.");
}

function tellTimes() {
  for (const time of document.querySelectorAll("#statuses time")) {
    if (time.dateTime) time.textContent = ago(time.dateTime);
  }
}

// ---- KPIs -----------------------------------------------------------------------------------------------------------

function drawMatrix(keys, whole) {
  const shown = board.kpis.filter((kpi) => [...board.series.keys()].some((key) => key.split("/")[1] === kpi.id));
  const columns = shown.map((kpi) => kpi.id).join();
  if (whole || columns !== view.columns) {
    view.columns = columns;
    view.cells.clear();
    view.rows.clear();
    byId("matrix").replaceChildren(...(shown.length ? [titles(shown)] : []));
    byId("matrix").style.setProperty("--columns", Math.max(shown.length, 1));
    keys = [...board.series.keys()];
  }
  const rows = new Set(keys.map(rowOf));
  for (const row of rows) drawRow(row, shown);
  for (const key of keys) drawCell(key);
  filterRows();
}

function rowOf(key) {
  const [team, , tile] = key.split("/");
  return tile ? `${team}/${tile}` : team;
}

function titles(kpis) {
  const row = element("div", { className: "row titles" });
  row.append(element("div", { textContent: "Team" }));
  for (const kpi of kpis) {
    const title = element("div", { textContent: kpi.name });
    const period = { day: "", week: "weekly", month: "monthly" }[kpi.interval];
    title.append(element("small", { textContent: [kpi.unit === "Time" ? "time of day" : kpi.unit, period].filter(Boolean).join(", ") || "\u00a0" }));
    row.append(title);
  }
  return row;
}

function drawRow(key, kpis) {
  const [teamId, tileId] = key.split("/");
  const place = board.teams.findIndex((team) => team.id === teamId);
  const team = board.teams[place] ?? { short: "", name: teamId };
  if (view.rows.has(key)) return;
  const tile = board.kpis.flatMap((kpi) => kpi.tiles).find((entry) => entry.id === tileId);
  const row = element("div", { className: "row" });
  row.dataset.place = `${String(place).padStart(6, "0")} ${tileId ? "1" : "0"}`;
  const head = element("div", { className: "team" });
  const name = tile ? `${team.name}, ${tile.name}` : team.name;
  head.append(element("b", { textContent: team.short || name }), element("span", { textContent: team.short ? name : "" }));
  row.append(head);
  row.dataset.text = `${team.short} ${name}`;
  for (const kpi of kpis) {
    const cell = element("div", { className: "cell" });
    cell.append(element("span", { className: "label", textContent: kpi.name }));
    row.append(cell);
    view.cells.set(`${teamId}/${kpi.id}${tileId ? `/${tileId}` : ""}`, { cell, kpi, name });
  }
  view.rows.set(key, row);
  const rest = [...byId("matrix").children].slice(1);
  byId("matrix").insertBefore(row, rest.find((other) => other.dataset.place > row.dataset.place) ?? null);
}

function drawCell(key) {
  const place = view.cells.get(key);
  if (!place) return;
  const { cell, kpi, name } = place;
  cell.replaceChildren(cell.querySelector(".label"));
  const points = [...(board.series.get(key) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  if (!points.length) return;
  const actual = Math.max(kpi.values.findIndex((value) => value.role === "actual"), 0);
  const [date, values] = points.at(-1);
  const now = element("span", { className: "now", textContent: reading(values[actual], kpi.unit) });
  now.title = new Date(date).toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });
  const until = Date.parse(board.newest);
  cell.append(now, drawChart({ kpi, team: name, points, from: until - (view.range - 1) * DAY_MS, until }));
}

function filterRows() {
  for (const row of view.rows.values()) row.hidden = !matches(row.dataset.text);
  say("valuestreamer", board.series.size, "No KPI record yet.");
}

// ---- platform states ------------------------------------------------------------------------------------------------

function drawStates(keys, quietly) {
  for (const key of keys) {
    const state = board.states.get(key);
    view.states.get(key)?.remove();
    view.states.delete(key);
    if (!state) continue;
    const item = element("li", { className: "state" });
    item.style.setProperty("--tone", `var(--${state.state})`);
    item.style.setProperty("--tint", `var(--${state.state}-bg)`);
    const chip = element("span", { className: "chip" });
    chip.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="10" fill="currentColor"/><path d="${SIGNS[state.state]}" fill="none" stroke="var(--panel)" stroke-width="2.4" stroke-linecap="round"/></svg>`;
    chip.append(state.state);
    const detail = element("p", { className: "detail" });
    detail.append(element("span", { className: "mono", textContent: state.resource }), ` · ${state.context}${state.message ? ` · ${state.message}` : ""}`);
    item.append(chip, element("p", { className: "title", textContent: state.title ?? state.resource }), detail);
    item.dataset.place = `${SEVERITY.indexOf(state.state)} ${state.resource} ${state.context}`;
    item.dataset.text = `${state.resource} ${state.context} ${state.title ?? ""} ${state.message ?? ""} ${state.state}`;
    view.states.set(key, item);
    insertSorted(byId("states"), item, (node) => node.dataset.place);
    if (!quietly) flash(item);
  }
  filterStates();
}

function filterStates() {
  const tally = Object.fromEntries(SEVERITY.map((name) => [name, 0]));
  for (const state of board.states.values()) tally[state.state] += 1;
  byId("tally").textContent = SEVERITY.filter((name) => tally[name]).map((name) => `${count(tally[name])} ${name}`).join(" · ");
  for (const item of view.states.values()) item.hidden = !matches(item.dataset.text);
  say("dnsimple", board.states.size, "No platform state yet.");
}

// ---- areas ----------------------------------------------------------------------------------------------------------

function drawAreas(changed) {
  const below = new Map();
  for (const area of board.areas.values()) {
    const parent = board.areas.has(area.parent) ? area.parent : null;
    below.set(parent, [...(below.get(parent) ?? []), area]);
  }
  const active = [...board.areas.values()].filter((area) => area.active).length;
  byId("area-count").textContent = board.areas.size ? `${count(active)} active, ${count(board.areas.size - active)} inactive` : "";
  byId("areas").replaceChildren(...branches(below, null, new Set(changed)));
  say("feedback_house", board.areas.size, "No area yet.");
}

function branches(below, parent, changed) {
  const areas = (below.get(parent) ?? []).sort((a, b) => (a.name ?? "").localeCompare(b.name ?? ""));
  return areas.flatMap((area) => {
    const inner = branches(below, area.id, changed);
    const found = matches(area.name, area.correlationID ?? "", ...area.tags);
    if (!found && !inner.length) return [];
    const children = below.get(area.id)?.length ?? 0;
    const line = element("div", { className: area.active ? "area" : "area inactive" });
    line.append(element("span", { className: "name", textContent: area.name }));
    if (area.correlationID) line.append(element("span", { className: "mono", textContent: area.correlationID }));
    if (!area.active) line.append(element("span", { className: "off", textContent: "inactive" }));
    if (children) line.append(element("span", { className: "count", textContent: `${count(children)} below` }));
    for (const tag of area.tags) line.append(element("span", { className: "tag", textContent: tag }));
    const item = element("li", { className: children ? "branch" : "" });
    item.append(line);
    if (inner.length) item.append(Object.assign(element("ul"), {}));
    item.querySelector("ul")?.append(...inner);
    if (changed.has(area.id)) flash(line);
    return [item];
  });
}

// ---- all together ---------------------------------------------------------------------------------------------------

function say(section, held, nothing) {
  const note = document.querySelector(`#${section} .empty`);
  note.hidden = held > 0;
  if (!held && !note.childElementCount) {
    note.append(`${nothing} A sync in mode `, element("code", { textContent: "sandbox" }), " or ", element("code", { textContent: "pipelines demo" }), " fills this board.");
  }
}

function clearViews() {
  for (const map of [view.cards, view.cells, view.rows, view.states]) map.clear();
  for (const id of ["statuses", "matrix", "states", "areas"]) byId(id).replaceChildren();
  view.columns = undefined;
  hideTip();
}

function draw({ changed, fresh }) {
  if (fresh || changed.statuses.length) drawStatuses(changed.statuses, fresh);
  if (fresh || changed.series.length || changed.meta) {
    const newest = board.newest !== view.newest;
    view.newest = board.newest;
    forgetOldDates();
    drawMatrix(newest ? [...board.series.keys()] : changed.series, fresh || changed.meta);
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

async function look() {
  const asked = performance.now();
  try {
    const answer = await fetch(`/feed?epoch=${board.epoch}&since=${board.at}`);
    const feed = await answer.json();
    byId("sandbox-id").textContent = feed.id.slice(0, 8);
    const taken = take(feed);
    draw(taken);
    if (taken.changes) lastChange = Date.now();
    const rate = Math.round((taken.changes * 1000) / (view.looked ? asked - view.looked : POLL_MS));
    if (taken.changes) pulse("busy", `${count(Math.max(rate, 1))} change${rate > 1 ? "s" : ""} a second`);
    else pulse("quiet", lastChange ? `up to date, last change ${clock(lastChange)}` : "live");
  } catch (error) {
    pulse("lost", "sandbox not reachable, trying again");
    console.warn(error);
  }
  view.looked = asked;
  setTimeout(() => (document.hidden ? document.addEventListener("visibilitychange", look, { once: true }) : look()), POLL_MS);
}

byId("filter").addEventListener("input", (event) => {
  view.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  filterStatuses();
  filterRows();
  filterStates();
  drawAreas([]);
});
byId("range").addEventListener("change", (event) => {
  view.range = number(event.target.value);
  for (const key of board.series.keys()) drawCell(key);
});
look();
