/** Values and times as people read them, in the browser's language and time zone. */

/**
 * @typedef {{type?: "number"|"percent"|"bytes"|"duration"|"date", decimals?: number, compact?: boolean,
 *   suffix?: string}} Format
 * @typedef {{id: string, label: string, role: "x"|"series"|"row"|"ring"|"metric", type: "time"|"text"|"number",
 *   unit?: string, format?: Format, axis?: "left"|"right", field?: string, color?: object}} Column
 */

export const NOTHING = "–";
const NO_BREAK = "\u00a0";
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const numberFormats = new Map();

/** @param {Intl.NumberFormatOptions} options */
function formatNumber(value, options) {
  const key = JSON.stringify(options);
  if (!numberFormats.has(key)) numberFormats.set(key, new Intl.NumberFormat(undefined, options));
  return numberFormats.get(key).format(value);
}

/** Bytes in powers of 1000: 1500 -> "1.5 kB". */
function formatBytes(value, decimals) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const power = Math.min(units.length - 1, value ? Math.max(0, Math.floor(Math.log10(Math.abs(value)) / 3)) : 0);
  return formatNumber(value / 1000 ** power, { maximumFractionDigits: power ? decimals : 0 }) + NO_BREAK + units[power];
}

/** A duration in milliseconds as its two largest units: 3_725_000 -> "1 h 2 min". */
export function formatDuration(milliseconds) {
  const size = Math.abs(milliseconds);
  if (size < 1000) return formatNumber(milliseconds, { maximumFractionDigits: 0 }) + NO_BREAK + "ms";
  if (size < MINUTE)
    return formatNumber(milliseconds / 1000, { maximumFractionDigits: size < 10_000 ? 1 : 0 }) + NO_BREAK + "s";
  const sign = milliseconds < 0 ? "−" : "";
  const seconds = Math.round(size / 1000);
  const parts = [
    ["d", Math.floor(seconds / 86_400)],
    ["h", Math.floor(seconds / 3600) % 24],
    ["min", Math.floor(seconds / 60) % 60],
    ["s", seconds % 60],
  ];
  const first = parts.findIndex(([, count]) => count > 0);
  return (
    sign +
    parts
      .slice(first, first + 2)
      .filter(([, count]) => count > 0)
      .map(([unit, count]) => count + NO_BREAK + unit)
      .join(" ")
  );
}

/** An age for people, whole seconds: 4200 ms -> "4 s". */
export function formatAge(milliseconds) {
  return formatDuration(Math.max(0, Math.floor(milliseconds / 1000)) * 1000 || 1).replace(
    /^1\u00a0ms$/,
    `0${NO_BREAK}s`,
  );
}

/**
 * @param {unknown} value  of a row
 * @param {Column} column
 * @param {{compact?: boolean, unit?: boolean}} [how]  compact: short, for axes; unit: append the column's unit
 * @returns {string}
 */
export function formatValue(value, column, { compact = false, unit = false } = {}) {
  if (value === null || value === undefined || value === "") return NOTHING;
  if (column.type === "time" || column.format?.type === "date") return formatTime(toTime(value));
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (column.type === "text" || typeof value !== "number") return String(value);
  const { type = "number", decimals, suffix = "", compact: short = false } = column.format ?? {};
  const digits = { minimumFractionDigits: compact ? 0 : (decimals ?? 0), maximumFractionDigits: decimals ?? 2 };
  if (type === "percent")
    return formatNumber(value, { style: "percent", ...digits, maximumFractionDigits: decimals ?? 1 }) + suffix;
  if (type === "bytes") return formatBytes(value, decimals ?? 1) + suffix;
  if (type === "duration") return formatDuration(column.unit === "ms" ? value : value * 1000) + suffix;
  const abbreviate = (short || compact) && Math.abs(value) >= 1000;
  const text = formatNumber(value, abbreviate ? { notation: "compact", maximumFractionDigits: 1 } : digits);
  return text + (suffix || (unit && column.unit ? NO_BREAK + column.unit : ""));
}

/** The heading of a column, with its unit where the values do not carry it. */
export function columnLabel(column) {
  const carried = column.format?.suffix || ["percent", "bytes", "duration", "date"].includes(column.format?.type);
  return column.unit && !carried && !column.label.includes(column.unit)
    ? `${column.label} (${column.unit})`
    : column.label;
}

/** @returns {number} milliseconds since the epoch, of milliseconds or an ISO-8601 string */
export function toTime(value) {
  return typeof value === "number" ? value : Date.parse(value);
}

const dateFormats = new Map();

/** @param {Intl.DateTimeFormatOptions} options */
function formatDate(milliseconds, options) {
  if (!Number.isFinite(milliseconds)) return NOTHING;
  const key = JSON.stringify(options);
  if (!dateFormats.has(key)) dateFormats.set(key, new Intl.DateTimeFormat(undefined, { hourCycle: "h23", ...options }));
  return dateFormats.get(key).format(milliseconds);
}

/** Local date and time to the second; with the year where it is not this one. */
export function formatTime(milliseconds) {
  const year = new Date(milliseconds).getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return formatDate(milliseconds, {
    year,
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
}

/** Local time of day, "20:00:05"; with the day where that is not today. */
export function formatClock(milliseconds) {
  const sameDay = new Date(milliseconds).toDateString() === new Date().toDateString();
  return sameDay
    ? formatDate(milliseconds, { hour: "2-digit", minute: "2-digit", second: "2-digit" })
    : formatTime(milliseconds);
}

/** A tick of a time axis that spans `span` milliseconds. */
export function formatTick(milliseconds, span) {
  const time = new Date(milliseconds);
  const midnight = time.getHours() === 0 && time.getMinutes() === 0 && time.getSeconds() === 0;
  if (midnight || span > 10 * DAY) return formatDate(milliseconds, { month: "short", day: "numeric" });
  if (span <= 5 * MINUTE) return formatDate(milliseconds, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return formatDate(milliseconds, { hour: "2-digit", minute: "2-digit" });
}

/** The browser's zone, as "Europe/Berlin (UTC+1)". */
export function timeZone() {
  const offset = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" })
    .formatToParts()
    .find((part) => part.type === "timeZoneName")
    .value.replace("GMT", "UTC");
  const { timeZone: zone } = new Intl.DateTimeFormat().resolvedOptions();
  return zone === "UTC" ? zone : `${zone} (${offset})`;
}
