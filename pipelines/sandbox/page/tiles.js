// The four tiles: what each API holds, what it was asked, and how busy it was in the last minute.
import { board } from "./board.js";
import { count, element } from "./words.js";

const ACTIVITY_SECONDS = 60;
const BOARDS = [
  ["stativate", "Stativate", "statuses"], ["valuestreamer", "ValueStreamer", "records"],
  ["dnsimple", "DNSimple", "platform states"], ["feedback_house", "feedback.house", "areas"],
];
const activity = new Map(BOARDS.map(([api]) => [api, { last: undefined, bars: [] }]));
const tiles = new Map(BOARDS.map(([api, name, what]) => {
  const tile = element("a", { className: "tile", href: `#${api}` });
  tile.innerHTML = `<span class="name">${name}</span><b>0</b><span class="what">${what}</span><svg viewBox="0 0 ${ACTIVITY_SECONDS} 26" preserveAspectRatio="none" aria-hidden="true"><path/></svg><span class="traffic"><span class="asked"></span><span class="failed"></span></span>`;
  document.getElementById("tiles").append(tile);
  return [api, tile];
}));

export function drawTiles() {
  for (const [api, tile] of tiles) {
    const { requests = 0, failed = 0, held = 0 } = board.counts[api] ?? {};
    const recent = activity.get(api);
    recent.bars.push(Math.max(0, requests - (recent.last ?? requests)));
    recent.last = requests;
    if (recent.bars.length > ACTIVITY_SECONDS) recent.bars.shift();
    tile.querySelector("b").textContent = count(held);
    tile.querySelector(".asked").textContent = `${count(requests)} request${requests === 1 ? "" : "s"}`;
    tile.querySelector(".failed").textContent = failed ? `${count(failed)} failed` : "";
    tile.querySelector("path").setAttribute("d", bars(recent.bars));
  }
}

function bars(values) {
  const top = Math.max(8, ...values);
  const start = ACTIVITY_SECONDS - values.length;
  return "M0 25.3h60v.7h-60z" + values.map((value, index) => (value ? `M${start + index} 26h.75v${(-24 * value) / top}h-.75z` : "")).join("");
}
