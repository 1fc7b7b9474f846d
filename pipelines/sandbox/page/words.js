// Numbers, times and elements, for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const large = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value) => whole.format(value);
export const number = (text) => Number.parseInt(text, 10);

export function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

// A value of a KPI; the unit "Time" counts minutes since midnight.
export function reading(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "Time") return `${String(Math.floor(value / 60)).padStart(2, "0")}:${String(Math.round(value % 60)).padStart(2, "0")}`;
  const text = Math.abs(value) >= 10_000 ? large.format(value) : short.format(value);
  return unit === "%" ? `${text} %` : text;
}

export function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

export const clock = (time) => new Date(time).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

// The date so many days from another, both as yyyy-MM-dd.
export function day(date, days) {
  return date ? new Date(Date.parse(date) + days * 86_400_000).toISOString().slice(0, 10) : "";
}

export const shortDate = (date) => new Date(date).toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

// How wide a short text is, in digits, roughly.
export function width(text) {
  return [...text].reduce((sum, sign) => sum + (/[MW@%]|[^\u0000-\u024f]/.test(sign) ? 1.65 : /[ .,:;'|!1IJ]/.test(sign) ? 0.65 : 1.08), 0);
}
