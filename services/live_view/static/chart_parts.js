/** What the charts share: the columns and rows they are given, tooltips, legends, axes and descriptions. */

import { formatDuration, formatTick, formatTime, formatValue, toTime } from "./format.js";

/**
 * @typedef {import("./format.js").Column} Column
 * @typedef {{columns: Column[], rows: Array<Array>, interval_ms: number|null, from: string, to: string}} Data
 *   rows in long form
 * @typedef {{width: number, height: number, text: string, muted: string, line: string, surface: string,
 *   low: string, high: string}} Look  pixels of the chart, and the theme's colours
 * @typedef {{column: Column, value: unknown}} Pick  what was clicked: a value of a column
 * @typedef {{option: object, picksOf: (event: object) => Pick[], description: string}} Drawing
 */

export const FONT_SIZE = 11;
const CHARACTER_WIDTH = 6.3;
const TOOLTIP_ROWS = 12;

/** A share of 1 as a column of percent. */
export const SHARE = { type: "number", format: { type: "percent", decimals: 1 } };

/** The columns of a role, each with its place in a row. */
export function columnsOf({ columns }, role) {
  return columns.map((column, index) => ({ ...column, index })).filter((column) => column.role === role);
}

export const unique = (values) => [...new Set(values)];

export const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

/** The different values of x: times in order and without holes, other values as they come. */
export function valuesOfX(x, { rows, interval_ms: interval }) {
  const present = unique(rows.map((row) => valueOfX(x, row)));
  return x.type === "time"
    ? withGaps(
        present.sort((a, b) => a - b),
        interval,
      )
    : present;
}

export const valueOfX = (x, row) => (x.type === "time" ? toTime(row[x.index]) : row[x.index]);

/** Times with the missing buckets between the first and the last filled in. */
function withGaps(times, interval) {
  if (!interval || times.length < 2) return times;
  const filled = [];
  for (const time of times) {
    for (let next = filled.at(-1) + interval; next < time - interval / 2; next += interval) filled.push(next);
    filled.push(time);
  }
  return filled;
}

export const bucketLabel = (start, interval) => formatTime(start) + (interval ? ` · ${formatDuration(interval)}` : "");

export const tooltipBox = {
  appendTo: () => document.body,
  className: "chart-tooltip",
  transitionDuration: 0,
  padding: 0,
  borderWidth: 0,
};

/**
 * @param {string} heading
 * @param {Array<{color?: string, name: string, text: string}>} lines
 * @returns {HTMLElement} a tooltip's content; as an element, so that no text of users is read as HTML
 */
export function tooltipContent(heading, lines) {
  const content = document.createElement("div");
  content.appendChild(document.createElement("strong")).textContent = heading;
  const list = content.appendChild(document.createElement("dl"));
  for (const { color, name, text } of lines.slice(0, TOOLTIP_ROWS)) {
    const term = list.appendChild(document.createElement("dt"));
    if (color) term.appendChild(document.createElement("i")).style.background = color;
    term.append(name);
    list.appendChild(document.createElement("dd")).textContent = text;
  }
  const more = lines.length - TOOLTIP_ROWS;
  if (more > 0) list.appendChild(document.createElement("dt")).textContent = `and ${more} more`;
  return content;
}

/** @param {string[]} names  @param {Look} look  @param {object} layout  where it stands, and what differs */
export function legend(names, look, layout) {
  return {
    type: "scroll",
    icon: "roundRect",
    itemWidth: 10,
    itemHeight: 10,
    itemGap: 14,
    data: names,
    textStyle: { color: look.text, fontSize: FONT_SIZE, width: 170, overflow: "truncate" },
    inactiveColor: look.line,
    pageIconColor: look.text,
    pageIconInactiveColor: look.line,
    pageIconSize: 10,
    pageTextStyle: { color: look.muted },
    tooltip: { show: true, formatter: ({ name }) => tooltipContent(name, []) },
    ...layout,
  };
}

/** An axis in the theme's colours. */
export function axis(own, look) {
  return {
    axisLine: { lineStyle: { color: look.line } },
    axisTick: { lineStyle: { color: look.line } },
    splitLine: { lineStyle: { color: look.line, opacity: 0.6 } },
    nameTextStyle: { color: look.muted, fontSize: FONT_SIZE },
    ...own,
    axisLabel: { color: look.muted, fontSize: FONT_SIZE, hideOverlap: true, ...own.axisLabel },
  };
}

/** A category axis whose labels fit: upright where there is room, else slanted. */
export function categoryAxis(labels, width) {
  const slot = width / Math.max(1, labels.length);
  const longest = Math.max(...labels.map((label) => label.length)) * CHARACTER_WIDTH;
  const slanted = longest > slot - 6;
  return {
    type: "category",
    data: labels,
    axisTick: { show: false },
    axisLabel: {
      interval: slot < 16 ? "auto" : 0,
      rotate: slanted ? 38 : 0,
      width: slanted ? 96 : undefined,
      overflow: "truncate",
    },
  };
}

/** A time axis over the whole range that was asked for. */
export function timeAxis({ from, to }, width) {
  const [min, max] = [toTime(from), toTime(to)];
  const ticks = timeTicks(min, max, Math.max(2, width / 66));
  return {
    type: "time",
    min,
    max,
    splitLine: { show: false },
    axisTick: { customValues: ticks },
    axisLabel: { customValues: ticks, formatter: (value) => formatTick(value, max - min) },
  };
}

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];
const TICK_STEPS = [
  ...[1, 5, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 20, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14, 30, 90].map((count) => count * DAY),
];

/** At most `most` times at even steps of the local clock. */
function timeTicks(min, max, most) {
  const step = TICK_STEPS.find((each) => (max - min) / each <= most) ?? TICK_STEPS.at(-1);
  const midnight = new Date(min).setHours(0, 0, 0, 0);
  const first = midnight + Math.ceil((min - midnight) / step) * step;
  const ticks = [];
  for (let tick = first; tick <= max; tick += step) ticks.push(tick);
  return ticks;
}

/** What a chart shows, for those who do not see it. */
export function describe(kind, { title }, names, xs, x) {
  const series = `${names.length} series: ${names.slice(0, 8).join(", ")}.`;
  const ends = xs.length ? ` from ${formatValue(xs[0], x)} to ${formatValue(xs.at(-1), x)}` : "";
  return `${kind}: ${title}. ${series} ${xs.length} points${ends}. The button Table lists the values.`;
}
