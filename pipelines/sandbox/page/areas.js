// feedback.house's areas as a tree.
import { board } from "./board.js";
import { flash, matches, say } from "./shared.js";
import { count, element } from "./words.js";

export function drawAreas(changed) {
  const below = new Map();
  for (const area of board.areas.values()) {
    const parent = board.areas.has(area.parent) ? area.parent : null;
    below.set(parent, [...(below.get(parent) ?? []), area]);
  }
  const active = [...board.areas.values()].filter((area) => area.active).length;
  document.getElementById("area-count").textContent = board.areas.size ? `${count(active)} active, ${count(board.areas.size - active)} inactive` : "";
  const found = branches(below, null, new Set(changed));
  document.getElementById("areas").replaceChildren(...found);
  say("feedback_house", "area", board.areas.size, found.length);
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
    if (inner.length) {
      const list = element("ul");
      list.append(...inner);
      item.append(list);
    }
    if (changed.has(area.id)) flash(line);
    return [item];
  });
}
