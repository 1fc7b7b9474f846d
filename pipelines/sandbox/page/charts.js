// Small line charts: the actual values of a KPI, its target dashed, and the value under the pointer.
import { reading } from "./words.js";

const [WIDTH, HEIGHT, MARGIN] = [160, 46, 5];
const DAY_MS = 86_400_000;
const LONGEST_GAP_DAYS = { day: 7, week: 21, month: 95 };
const SVG = "http://www.w3.org/2000/svg";
const tip = document.getElementById("tip");

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// `points`: dates with values in the KPI's order, oldest first; `from` and `until`: the days shown, as milliseconds.
export function drawChart({ kpi, team, points, from, until }) {
  const visible = points.map(([date, values]) => ({ at: Date.parse(date), values })).filter((point) => point.at >= from);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const known = visible.flatMap((point) => point.values).filter((value) => value !== null && value !== undefined);
  svg.setAttribute("aria-label", describe(kpi, team, visible));
  if (!known.length) return svg;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (at) => MARGIN + ((at - from) / Math.max(until - from, 1)) * (WIDTH - 2 * MARGIN);
  const y = (value) => (high === low ? HEIGHT / 2 : HEIGHT - MARGIN - ((value - low) / (high - low)) * (HEIGHT - 2 * MARGIN));
  let first = true;
  kpi.values.forEach((value, index) => {
    const d = path(visible, index, x, y, LONGEST_GAP_DAYS[kpi.interval] * DAY_MS);
    const kind = value.role === "target" ? "chart-target" : first ? "chart-line" : "chart-line more";
    if (value.role !== "target") first = false;
    svg.append(shape("path", { d, class: kind }));
  });
  const actual = Math.max(kpi.values.findIndex((value) => value.role === "actual"), 0);
  const last = visible.findLast((point) => Number.isFinite(point.values[actual]));
  if (last) svg.append(shape("path", { d: `M${x(last.at)} ${y(last.values[actual])}h0`, class: "chart-dot" }));
  follow(svg, { kpi, visible, x, from, until });
  return svg;
}

function path(points, index, x, y, longestGap) {
  let [d, before] = ["", undefined];
  for (const { at, values } of points) {
    const value = values[index];
    if (value === null || value === undefined) continue;
    d += `${before !== undefined && at - before <= longestGap ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    before = at;
  }
  return d;
}

function dated(at) {
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

function told(kpi, point) {
  const parts = kpi.values.map((value, index) => `${value.name.toLowerCase()} ${reading(point.values[index], kpi.unit)}`);
  return `${dated(point.at)}: ${parts.join(", ")}`;
}

function describe(kpi, team, points) {
  return points.length ? `${kpi.name}, ${team}. ${points.length} values; the last, ${told(kpi, points.at(-1))}` : `${kpi.name}, ${team}: no value in these days`;
}

function follow(svg, { kpi, visible, x, from, until }) {
  const hair = shape("path", { class: "chart-hair", d: "" });
  svg.append(hair);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = from + (((event.clientX - box.left) / box.width) * WIDTH - MARGIN) / (WIDTH - 2 * MARGIN) * (until - from);
    const point = visible.reduce((best, other) => (Math.abs(other.at - at) < Math.abs(best.at - at) ? other : best));
    hair.setAttribute("d", `M${x(point.at)} 0V${HEIGHT}`);
    tip.textContent = told(kpi, point);
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${box.top - tip.offsetHeight - 4}px`;
  });
  svg.addEventListener("pointerleave", () => {
    hair.setAttribute("d", "");
    hideTip();
  });
}

export function hideTip() {
  tip.hidden = true;
}
