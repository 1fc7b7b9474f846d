// ValueStreamer's records: a row per team (and sub-tile), a column per KPI.
import { board } from "./board.js";
import { drawChart, hideTip } from "./charts.js";
import { insertSorted, matches, say } from "./shared.js";
import { element, reading, shortDate } from "./words.js";

const DAY_MS = 86_400_000;
const matrix = document.getElementById("matrix");
const cells = new Map();
const rows = new Map();
let columnsDrawn;
let daysShown = 91;

export function clearMatrix() {
  cells.clear();
  rows.clear();
  matrix.replaceChildren();
  columnsDrawn = undefined;
  hideTip();
}

export function showDays(days) {
  daysShown = days;
  for (const key of board.series.keys()) drawCell(key);
}

export function drawMatrix(keys, whole) {
  const shown = board.kpis.filter((kpi) => [...board.series.keys()].some((key) => key.split("/")[1] === kpi.id));
  const columns = shown.map((kpi) => kpi.id).join();
  if (whole || columns !== columnsDrawn) {
    columnsDrawn = columns;
    cells.clear();
    rows.clear();
    matrix.replaceChildren(...(shown.length ? [titles(shown)] : []));
    matrix.style.setProperty("--columns", Math.max(shown.length, 1));
    keys = [...board.series.keys()];
  }
  for (const row of new Set(keys.map(rowOf))) drawRow(row, shown);
  for (const key of keys) drawCell(key);
  filterRows();
}

function rowOf(key) {
  const [team, , tile] = key.split("/");
  return tile ? `${team}/${tile}` : team;
}

function titles(kpis) {
  const row = element("div", { className: "row titles" });
  row.dataset.place = "";
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
  if (rows.has(key)) return;
  const [teamId, tileId] = key.split("/");
  const place = board.teams.findIndex((team) => team.id === teamId);
  const team = board.teams[place] ?? { short: "", name: teamId };
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
    cells.set(`${teamId}/${kpi.id}${tileId ? `/${tileId}` : ""}`, { cell, kpi, name });
  }
  rows.set(key, row);
  insertSorted(matrix, row);
}

function drawCell(key) {
  const place = cells.get(key);
  if (!place) return;
  const { cell, kpi, name } = place;
  cell.replaceChildren(cell.querySelector(".label"));
  const points = [...(board.series.get(key) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  if (!points.length) return;
  const actual = Math.max(kpi.values.findIndex((value) => value.role === "actual"), 0);
  const [date, values] = points.at(-1);
  const now = element("span", { className: "now", textContent: reading(values[actual], kpi.unit) });
  if (date !== board.newest) now.append(element("small", { textContent: shortDate(date) }));
  const until = Date.parse(board.newest);
  cell.append(now, drawChart({ kpi, team: name, points, from: until - (daysShown - 1) * DAY_MS, until }));
}

export function filterRows() {
  let [held, shown] = [0, 0];
  for (const row of rows.values()) {
    const drawn = row.querySelector("svg") !== null;
    row.hidden = !drawn || !matches(row.dataset.text);
    held += drawn;
    shown += !row.hidden;
  }
  say("valuestreamer", "KPI record", held, shown);
}
