/** Lines, areas, bars, pies and heat maps of Apache ECharts: columns and rows in long form -> an ECharts option. */

import { colorOf, isDark, primaryColor, textOn, themeColors, visible } from "./colors.js";
import { columnLabel, formatDuration, formatTick, formatTime, formatValue, toTime } from "./format.js";

/**
 * @typedef {import("./format.js").Column} Column
 * @typedef {{columns: Column[], rows: Array<Array>, interval_ms: number|null}} Data
 * @typedef {{name: string, value: unknown, metric: Column, values: Array<number|null>, color: string}} Series
 * @typedef {{column: Column, value: unknown}} Pick   what was clicked: a value of a column
 */

const CHARACTER_WIDTH = 6.3;
const FONT_SIZE = 11;
const TOOLTIP_ROWS = 12;

const byRole = (columns, role) => columns.map((column, index) => ({ ...column, index })).filter((column) => column.role === role);
const unique = (values) => [...new Set(values)];
const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

/** One chart in one element; updated in place. */
export class Chart {
  /**
   * @param {HTMLElement} element
   * @param {object} panel
   * @param {(picks: Pick[], event: MouseEvent) => void} onPick
   */
  constructor(element, panel, onPick) {
    this.panel = panel;
    if (typeof echarts === "undefined") throw new Error("the chart library is missing; run `npm ci` in services/live_view");
    this.chart = echarts.init(element);
    this.chart.on("click", (event) => onPick(this.picksOf?.(event) ?? [], event.event.event));
  }

  /** @param {Data} data */
  update(data) {
    const [width, height] = [this.chart.getWidth(), this.chart.getHeight()];
    const draw = { xy: xyOption, pie: pieOption, heatmap: heatmapOption }[this.panel.kind];
    const { option, picksOf, description } = draw(this.panel, data, { width, height, ...themeColors() });
    this.picksOf = picksOf;
    const structure = JSON.stringify([option.series.map(({ id, type }) => [id, type]), option.yAxis?.length, isDark()]);
    this.chart.setOption({ ...commonOption(description), ...option }, { notMerge: structure !== this.structure });
    this.structure = structure;
  }

  /** Takes the element's size. @returns {boolean} whether it is another one, to draw again for */
  resize(width, height) {
    if (width === this.chart.getWidth() && height === this.chart.getHeight()) return false;
    this.chart.resize({ width, height });
    return true;
  }
}

function commonOption(description) {
  return {
    animation: false,
    aria: { enabled: true, label: { description } },
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: FONT_SIZE },
  };
}

/** @returns {HTMLElement} a tooltip's content; as an element, so that no text of users is read as HTML */
function tooltipContent(heading, lines) {
  const content = document.createElement("div");
  const title = content.appendChild(document.createElement("strong"));
  title.textContent = heading;
  const list = content.appendChild(document.createElement("dl"));
  for (const { color, name, text } of lines.slice(0, TOOLTIP_ROWS)) {
    const term = list.appendChild(document.createElement("dt"));
    if (color) term.appendChild(document.createElement("i")).style.background = color;
    term.append(name);
    list.appendChild(document.createElement("dd")).textContent = text;
  }
  if (lines.length > TOOLTIP_ROWS) list.appendChild(document.createElement("dt")).textContent = `and ${lines.length - TOOLTIP_ROWS} more`;
  return content;
}

const tooltipOption = { appendTo: () => document.body, className: "chart-tooltip", transitionDuration: 0, padding: 0, borderWidth: 0 };

const legendOption = (names, colors, layout) => ({
  type: "scroll", icon: "roundRect", itemWidth: 10, itemHeight: 10, itemGap: 14, data: names,
  textStyle: { color: colors.text, fontSize: FONT_SIZE, width: 170, overflow: "truncate" },
  inactiveColor: colors.line, pageIconColor: colors.text, pageIconInactiveColor: colors.line, pageTextStyle: { color: colors.muted },
  pageIconSize: 10, tooltip: { show: true, formatter: ({ name }) => tooltipContent(name, []) }, ...layout,
});

const axisColors = (colors) => ({
  axisLine: { lineStyle: { color: colors.line } },
  axisTick: { lineStyle: { color: colors.line } },
  axisLabel: { color: colors.muted, fontSize: FONT_SIZE, hideOverlap: true },
  splitLine: { lineStyle: { color: colors.line, opacity: 0.6 } },
  nameTextStyle: { color: colors.muted, fontSize: FONT_SIZE },
});

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

/** Declared values first, in their order, then by name: a value keeps its place when the figures change. */
function inStableOrder(values, colors) {
  const declared = Object.keys(colors ?? {});
  const rank = (value) => (declared.includes(String(value)) ? declared.indexOf(String(value)) : declared.length);
  return values.sort((a, b) => rank(a) - rank(b) || String(a).localeCompare(String(b), undefined, { numeric: true }));
}

/**
 * Long form to one array of values per series, all over the same x.
 * @param {Data} data
 * @returns {{x: Column, split: Column|undefined, xs: Array, series: Series[]}}
 */
function pivot({ columns, rows, interval_ms: interval }, { kind, colors }) {
  const [x] = byRole(columns, "x");
  const [split] = byRole(columns, "series");
  const metrics = byRole(columns, "metric");
  const xOf = (row) => (x?.type === "time" ? toTime(row[x.index]) : x ? row[x.index] : columnLabel(metrics[0]));
  const present = unique(rows.map(xOf));
  const xs = x?.type === "time" ? withGaps(present.sort((a, b) => a - b), interval) : present;
  const position = new Map(xs.map((value, index) => [value, index]));
  const seriesColor = (label, name, metric) => {
    if (split) return colorOf(metrics.length === 1 ? label : name, colors);
    if (typeof metric.color === "string") return visible(metric.color);
    return metrics.length === 1 ? primaryColor() : colorOf(name, colors);
  };
  const splits = split ? inStableOrder(unique(rows.map((row) => row[split.index])), colors) : [null];
  const series = splits.flatMap((value) => metrics.map((metric) => {
    const label = split ? formatValue(value, split) : "";
    const name = [label, !split || metrics.length > 1 ? columnLabel(metric) : ""].filter(Boolean).join(" · ");
    return { name, value, metric, values: Array(xs.length).fill(null), color: seriesColor(label, name, metric) };
  }));
  const seriesOf = new Map(splits.map((value, index) => [value, index * metrics.length]));
  for (const row of rows) {
    const first = seriesOf.get(split ? row[split.index] : null);
    metrics.forEach((metric, index) => {
      series[first + index].values[position.get(xOf(row))] = row[metric.index];
    });
  }
  return { x, split, xs, series, kind };
}

/** Each series as shares of the sum over all series of the same axis, per x. */
function shares(series) {
  return series.map((one) => ({
    ...one,
    values: one.values.map((value, index) => {
      const total = sum(series.filter(({ metric }) => metric.axis === one.metric.axis).map(({ values }) => values[index]));
      return total ? (value ?? 0) / total : null;
    }),
  }));
}

function describe(kind, panel, names, xs, x) {
  const what = `${kind}: ${panel.title}. ${names.length} ${names.length === 1 ? "series" : "series"}: ${names.slice(0, 8).join(", ")}.`;
  const range = xs.length ? ` ${xs.length} ${xs.length === 1 ? "point" : "points"} from ${formatValue(xs[0], x)} to ${formatValue(xs.at(-1), x)}.` : "";
  return `${what}${range} The button Table lists the values.`;
}

/** A category axis whose labels fit: upright where there is room, else slanted. */
function categoryAxis(labels, width, colors) {
  const slot = width / Math.max(1, labels.length);
  const longest = Math.max(...labels.map((label) => label.length)) * CHARACTER_WIDTH;
  const slanted = longest > slot - 6;
  const axisLabel = { interval: slot < 16 ? "auto" : 0, rotate: slanted ? 38 : 0, width: slanted ? 96 : undefined, overflow: "truncate" };
  return { type: "category", data: labels, axisTick: { show: false }, axisLabel };
}

function timeAxis(data, colors) {
  const [min, max] = [toTime(data.from), toTime(data.to)];
  return { type: "time", min, max, splitNumber: 6, axisLabel: { formatter: (value) => formatTick(value, max - min) }, splitLine: { show: false } };
}

const mergeAxis = (axis, colors) => {
  const common = axisColors(colors);
  return { ...common, ...axis, axisLabel: { ...common.axisLabel, ...axis.axisLabel } };
};

function xyOption(panel, data, colors) {
  const { x, split, xs, series } = pivot(data, panel);
  const time = x?.type === "time";
  const percentage = panel.mode === "percentage";
  const stacked = percentage || panel.mode === "stacked";
  const drawn = percentage ? shares(series) : series;
  const sides = unique(series.map(({ metric }) => metric.axis ?? "left")).sort();
  const legend = series.length > 1;
  const titles = sides.map((side) => panel.axis_titles?.[side] ?? "");
  const shift = time && panel.chart === "bar" ? (data.interval_ms ?? 0) / 2 : 0;
  const labels = time ? [] : xs.map((value) => (x ? formatValue(value, x) : String(value)));
  const ownColor = (label) => (!split && series.length === 1 && panel.colors?.[label] ? visible(panel.colors[label]) : undefined);

  const points = (values) => values.map((value, index) => {
    const shown = stacked && !percentage ? value ?? 0 : value;
    return time ? [xs[index] + shift, shown] : { value: shown, itemStyle: { color: ownColor(labels[index]) } };
  });
  const alone = (values, index) => values[index] !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;

  const option = {
    grid: { left: 6, right: 14, top: legend ? 28 : 8, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
    legend: legendOption(series.map(({ name }) => name), colors, { show: legend, top: 0, left: 0, right: 0 }),
    tooltip: {
      ...tooltipOption, trigger: "axis", axisPointer: { type: panel.chart === "bar" && !time ? "shadow" : "line", lineStyle: { color: colors.muted }, shadowStyle: { color: colors.line, opacity: 0.35 } },
      formatter: (params) => {
        const index = params[0].dataIndex;
        const lines = params.map(({ seriesIndex }) => ({ ...series[seriesIndex], share: drawn[seriesIndex].values[index], own: series[seriesIndex].values[index] }))
          .filter(({ own }) => own !== null)
          .sort((a, b) => b.own - a.own)
          .map(({ name, color, metric, own, share }) => ({
            name, color: ownColor(labels[index]) ?? color,
            text: formatValue(own, metric, { unit: true }) + (percentage ? ` (${formatValue(share, shareColumn)})` : ""),
          }));
        return tooltipContent(time ? bucketLabel(xs[index], data.interval_ms) : labels[index], lines);
      },
    },
    xAxis: mergeAxis({ ...(time ? timeAxis(data, colors) : categoryAxis(labels, colors.width - 60, colors)), name: panel.axis_titles?.x ?? "", nameLocation: "middle", nameGap: 24 }, colors),
    yAxis: sides.map((side, index) => {
      const { metric } = series.find(({ metric: own }) => (own.axis ?? "left") === side);
      const whole = series.every(({ values }) => values.every(Number.isInteger));
      return mergeAxis({
        type: "value", position: side, name: titles[index], nameLocation: "end", nameGap: 10, max: percentage ? 1 : undefined, interval: percentage ? 0.25 : undefined,
        minInterval: whole && !percentage ? 1 : undefined, splitNumber: Math.max(2, Math.min(5, Math.round(colors.height / 55))),
        nameTextStyle: { color: colors.muted, fontSize: FONT_SIZE, align: side, padding: 0 }, splitLine: { show: index === 0, lineStyle: { color: colors.line, opacity: 0.6 } },
        axisLine: { show: false }, axisTick: { show: false },
        axisLabel: { formatter: (value) => formatValue(value, percentage ? shareColumn : metric, { compact: true }) },
      }, colors);
    }),
    series: drawn.map(({ name, values, color, metric }) => ({
      id: name, name, data: points(values), color, yAxisIndex: sides.indexOf(metric.axis ?? "left"),
      stack: stacked ? metric.axis ?? "left" : undefined, emphasis: { focus: series.length > 1 ? "series" : "none" }, triggerLineEvent: true, cursor: "pointer",
      ...(panel.chart === "bar"
        ? { type: "bar", barMaxWidth: 42, barMinHeight: stacked ? 0 : 1, barCategoryGap: time ? "12%" : "28%" }
        : {
          type: "line", connectNulls: false, symbol: "circle",
          // A point between two gaps is no line: it is drawn as a dot. Dots for all would be slow.
          showSymbol: !stacked && values.some((_, index) => alone(values, index)),
          symbolSize: (_, { dataIndex }) => (alone(values, dataIndex) ? 5 : 0),
          lineStyle: { width: panel.chart === "area" && stacked ? 1 : 2 },
          areaStyle: panel.chart === "area" ? { opacity: stacked ? 0.7 : 0.18 } : undefined,
        }),
    })),
  };
  const picksOf = ({ seriesIndex, dataIndex }) => [
    split && { column: split, value: series[seriesIndex].value },
    x && !time && dataIndex >= 0 && { column: x, value: xs[dataIndex] },
  ].filter(Boolean);
  const kinds = { line: "Line chart", area: "Area chart", bar: "Bar chart" };
  return { option, picksOf, description: describe(kinds[panel.chart], panel, series.map(({ name }) => name), xs, x ?? { type: "text" }) };
}

const shareColumn = { type: "number", format: { type: "percent", decimals: 1 } };

const bucketLabel = (start, interval) => formatTime(start) + (interval ? ` · ${formatDuration(interval)}` : "");

/** Values of a pie's rings with their sums: each ring splits the one inside it. */
function rings({ columns, rows }) {
  const ringColumns = byRole(columns, "ring");
  const [metric] = byRole(columns, "metric");
  return {
    metric,
    rings: ringColumns.map((column, depth) => {
      const parts = new Map();
      for (const row of rows) {
        const path = ringColumns.slice(0, depth + 1).map(({ index }) => row[index]);
        const key = JSON.stringify(path);
        const part = parts.get(key) ?? { path, value: row[column.index], size: 0 };
        part.size += row[metric.index] ?? 0;
        parts.set(key, part);
      }
      return { column, parts: [...parts.values()].filter(({ size }) => size > 0) };
    }),
  };
}

function pieOption(panel, data, colors) {
  const { metric, rings: levels } = rings(data);
  // A ring's parts must lie beside the part of the inner ring that they split.
  const order = new Map(levels[0].parts.map(({ path }, index) => [path[0], index]));
  for (const { parts } of levels) parts.sort((a, b) => order.get(a.path[0]) - order.get(b.path[0]));
  const total = sum(levels[0].parts.map(({ size }) => size));
  const percent = (size) => formatValue(size / total, shareColumn);
  const beside = colors.width > 1.25 * colors.height && colors.width > 280;
  const label = (value, column) => formatValue(value, column);
  const names = unique(levels.flatMap(({ column, parts }) => parts.map(({ value }) => label(value, column))));
  const sizeOf = new Map(names.map((name) => {
    const level = levels.find(({ column, parts }) => parts.some(({ value }) => label(value, column) === name));
    return [name, sum(level.parts.filter(({ value }) => label(value, level.column) === name).map(({ size }) => size))];
  }));
  const radius = Math.max(20, Math.min(beside ? colors.width * 0.27 : colors.width / 2, (beside ? colors.height : colors.height - 40) / 2) - 6);
  const hole = panel.donut ? 0.5 : 0;
  const ring = (depth) => [0, 1].map((edge) => radius * (hole + ((1 - hole) * (depth + edge)) / levels.length));
  const center = beside ? [radius + 10, "50%"] : ["50%", radius + 6];
  const option = {
    legend: legendOption(names, colors, {
      orient: beside ? "vertical" : "horizontal", ...(beside ? { left: 2 * radius + 32, top: "middle" } : { bottom: 0, left: 0, right: 0 }),
      formatter: (name) => `${name}  ${percent(sizeOf.get(name) ?? 0)}`,
      textStyle: { color: colors.text, fontSize: FONT_SIZE, width: beside ? Math.max(60, colors.width - 2 * radius - 62) : 170, overflow: "truncate" },
    }),
    tooltip: {
      ...tooltipOption, trigger: "item",
      formatter: ({ seriesIndex, dataIndex, color }) => {
        const { path, size } = levels[seriesIndex].parts[dataIndex];
        const heading = path.map((value, depth) => label(value, levels[depth].column)).join(" · ");
        return tooltipContent(heading, [{ color, name: columnLabel(metric), text: `${formatValue(size, metric, { unit: true })} (${percent(size)})` }]);
      },
    },
    series: levels.map(({ column, parts }, depth) => ({
      id: column.id, type: "pie", radius: ring(depth), center, label: { show: false }, labelLine: { show: false },
      itemStyle: { borderColor: colors.surface, borderWidth: 1.5 }, emphasis: { scaleSize: 3 },
      data: parts.map(({ value, size }) => ({ name: label(value, column), value: size, itemStyle: { color: colorOf(label(value, column), panel.colors) } })),
    })),
  };
  const picksOf = ({ seriesIndex, dataIndex }) => levels[seriesIndex].parts[dataIndex].path.map((value, depth) => ({ column: levels[depth].column, value }));
  const description = `Pie chart: ${panel.title}. ${names.slice(0, 8).map((name) => `${name} ${percent(sizeOf.get(name))}`).join(", ")}. The button Table lists the values.`;
  return { option, picksOf, description };
}

function heatmapOption(panel, data, colors) {
  const { columns, rows } = data;
  const [x] = byRole(columns, "x");
  const [metric] = byRole(columns, "metric");
  const y = byRole(columns, "series")[0] ?? byRole(columns, "row")[0];
  const xOf = (row) => (x.type === "time" ? toTime(row[x.index]) : row[x.index]);
  const xs = x.type === "time" ? withGaps(unique(rows.map(xOf)).sort((a, b) => a - b), data.interval_ms) : unique(rows.map(xOf));
  const ys = unique(rows.map((row) => row[y.index]));
  const [xPosition, yPosition] = [xs, ys].map((values) => new Map(values.map((value, index) => [value, index])));
  const cells = rows.filter((row) => row[metric.index] !== null)
    .map((row) => [xPosition.get(xOf(row)), yPosition.get(row[y.index]), row[metric.index]]);
  const values = cells.map((cell) => cell[2]);
  const span = toTime(data.to) - toTime(data.from);
  const xLabels = xs.map((value) => (x.type === "time" ? formatTick(value, span) : formatValue(value, x)));
  const yLabels = ys.map((value) => formatValue(value, y));
  const roomy = colors.width / Math.max(1, xs.length) > 46 && colors.height / Math.max(1, ys.length) > 20;
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const option = {
    grid: { left: 6, right: 10, top: 6, bottom: 34, outerBoundsMode: "same", outerBoundsContain: "all" },
    xAxis: mergeAxis({ ...categoryAxis(xLabels, colors.width - 110, colors), ...(x.type === "time" ? { axisLabel: { interval: "auto" } } : {}) }, colors),
    yAxis: [mergeAxis({ type: "category", data: yLabels, inverse: true, axisTick: { show: false }, axisLabel: { width: 130, overflow: "truncate", interval: 0 } }, colors)],
    visualMap: {
      min: low, max: high > low ? high : low + 1, calculable: false, orient: "horizontal", left: "center", bottom: 0, itemWidth: 10, itemHeight: 120,
      inRange: { color: [colors.low, colors.high] }, text: [formatValue(high, metric), formatValue(low, metric)], textStyle: { color: colors.muted, fontSize: FONT_SIZE },
    },
    tooltip: {
      ...tooltipOption, trigger: "item",
      formatter: ({ value: [column, row, value], color }) => {
        const heading = x.type === "time" ? bucketLabel(xs[column], data.interval_ms) : xLabels[column];
        return tooltipContent(`${heading} · ${yLabels[row]}`, [{ color, name: columnLabel(metric), text: formatValue(value, metric, { unit: true }) }]);
      },
    },
    series: [{
      id: "cells", type: "heatmap", data: cells.map((cell) => ({ value: cell, label: { color: cellText(cell[2], low, high, colors) } })),
      label: { show: roomy, fontSize: FONT_SIZE, formatter: ({ value }) => formatValue(value[2], metric, { compact: true }) },
      itemStyle: { borderColor: colors.surface, borderWidth: 1 }, emphasis: { itemStyle: { borderColor: colors.text } },
    }],
  };
  const picksOf = ({ value: [column, row] }) => [{ column: y, value: ys[row] }, x.type !== "time" && { column: x, value: xs[column] }].filter(Boolean);
  return { option, picksOf, description: describe("Heat map", panel, yLabels, xs, x) };
}

/** The colour of the text on a cell. */
function cellText(value, low, high, { low: from, high: to }) {
  const [a, b] = [from, to].map((color) => color.match(/[\d.]+/g).map(Number));
  const share = high > low ? (value - low) / (high - low) : 0;
  return textOn(`rgb(${[0, 1, 2].map((i) => a[i] + (b[i] - a[i]) * share).join(", ")})`);
}
