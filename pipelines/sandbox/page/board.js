// What the boards hold, as far as the feed has told.
import { day } from "./words.js";

const KEPT_DAYS = 370;

// `series` maps team/kpi[/sub-tile] to a map from dates to values in the order of the KPI's own.
export const board = {
  epoch: "", at: 0, counts: {}, newest: "", kpis: [], teams: [],
  statuses: new Map(), series: new Map(), states: new Map(), areas: new Map(),
};

// Takes a feed in. Returns the keys that changed, whether everything is new, and how many changes there were.
export function take(feed) {
  if (feed.fresh) {
    for (const map of [board.statuses, board.series, board.states, board.areas]) map.clear();
    Object.assign(board, { newest: "" });
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

// Dates that no chart can show any more.
export function forgetOldDates() {
  const oldest = day(board.newest, -KEPT_DAYS);
  for (const points of board.series.values()) {
    if (points.size > KEPT_DAYS) for (const date of points.keys()) if (date < oldest) points.delete(date);
  }
}
