/** Lines, areas and bars over time or categories. */

import { colorsOf, primaryColor, visible } from "./colors.js";
import {
  FONT_SIZE,
  SHARE,
  axis,
  bucketLabel,
  categoryAxis,
  columnsOf,
  describe,
  legend,
  sum,
  timeAxis,
  tooltipBox,
  tooltipContent,
  unique,
  valueOfX,
  valuesOfX,
} from "./chart_parts.js";
import { columnLabel, formatValue } from "./format.js";

/** About what the labels of the vertical axes take. */
const LABELS_WIDTH = 60;
const KINDS = { line: "Line chart", area: "Area chart", bar: "Bar chart" };

/**
 * @typedef {import("./chart_parts.js").Column} Column
 * @typedef {{name: string, value: unknown, metric: Column, side: "left"|"right", color: string,
 *   values: Array<number|null>, drawn: Array<number|null>}} Series  values: as they are; drawn: in the panel's mode
 * @typedef {{panel: object, x: Column|undefined, split: Column|undefined,
 *   time: boolean, percentage: boolean, stacked: boolean,
 *   xs: Array, labels: string[], series: Series[], sides: string[]}} Model
 */

/**
 * @param {object} panel
 * @param {import("./chart_parts.js").Data} data
 * @param {import("./chart_parts.js").Look} look
 * @returns {import("./chart_parts.js").Drawing}
 */
export function xy(panel, data, look) {
  const model = modelOf(panel, data);
  const { x, split, time, xs, series } = model;
  const names = series.map(({ name }) => name);
  const several = series.length > 1;
  const width = look.width - LABELS_WIDTH;
  const horizontal = time ? timeAxis(data, width) : categoryAxis(model.labels, width);
  const option = {
    grid: { left: 6, right: 14, top: several ? 28 : 8, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
    legend: legend(names, look, { show: several, top: 0, left: 0, right: 0 }),
    tooltip: tooltip(model, data, look),
    xAxis: axis({ ...horizontal, ...xTitle(panel) }, look),
    yAxis: model.sides.map((side) => axis(valueAxis(model, side, look), look)),
    series: series.map((one) => drawSeries(model, one, data)),
  };
  const picksOf = ({ seriesIndex, dataIndex }) => [
    ...(split ? [{ column: split, value: series[seriesIndex].value }] : []),
    ...(x && !time && dataIndex >= 0 ? [{ column: x, value: xs[dataIndex] }] : []),
  ];
  return { option, picksOf, description: describe(KINDS[panel.chart], panel, names, xs, x ?? { type: "text" }) };
}

/** Long form to one array of values per series, all over the same x. @returns {Model} */
function modelOf(panel, data) {
  const [x] = columnsOf(data, "x");
  const [split] = columnsOf(data, "series");
  const percentage = panel.mode === "percentage";
  const xs = x ? valuesOfX(x, data) : [columnLabel(columnsOf(data, "metric")[0])];
  const series = seriesOf(panel, data, x, split, xs);
  for (const one of series) one.drawn = percentage ? sharesOf(one, series) : one.values;
  const labels = xs.map((value) => (x ? formatValue(value, x) : value));
  return {
    panel,
    x,
    split,
    xs,
    labels,
    series,
    percentage,
    time: x?.type === "time",
    stacked: percentage || panel.mode === "stacked",
    sides: unique(series.map(({ side }) => side)).sort(),
  };
}

function seriesOf(panel, data, x, split, xs) {
  const metrics = columnsOf(data, "metric");
  const position = new Map(xs.map((value, index) => [value, index]));
  const values = split ? inStableOrder(unique(data.rows.map((row) => row[split.index])), panel.colors) : [null];
  const series = values.flatMap((value) =>
    metrics.map((metric) => ({
      name: nameOf(split, value, metric, metrics.length),
      value,
      metric,
      side: metric.axis ?? "left",
      values: Array(xs.length).fill(null),
    })),
  );
  paint(series, split, panel.colors);
  const firstOf = new Map(values.map((value, index) => [value, index * metrics.length]));
  for (const row of data.rows) {
    const first = firstOf.get(split ? row[split.index] : null);
    const place = x ? position.get(valueOfX(x, row)) : 0;
    metrics.forEach((metric, index) => {
      series[first + index].values[place] = row[metric.index];
    });
  }
  return series;
}

function nameOf(split, value, metric, metrics) {
  if (!split) return columnLabel(metric);
  return formatValue(value, split) + (metrics > 1 ? ` · ${columnLabel(metric)}` : "");
}

/** By what is declared of a value, else of a metric; a single series that nothing is said of has the primary colour. */
function paint(series, split, colors) {
  const ofMetrics = split ? [] : series.filter(({ metric }) => typeof metric.color === "string");
  const own = { ...Object.fromEntries(ofMetrics.map(({ name, metric }) => [name, metric.color])), ...colors };
  const plain = !split && series.length === 1 && !own[series[0].name];
  const found = plain
    ? new Map([[series[0].name, primaryColor()]])
    : colorsOf(
        series.map(({ name }) => name),
        own,
      );
  for (const one of series) one.color = found.get(one.name);
}

/** Declared values first, in their order, then by name: a value keeps its place when the figures change. */
function inStableOrder(values, colors) {
  const declared = Object.keys(colors ?? {});
  const rank = (value) => (declared.includes(String(value)) ? declared.indexOf(String(value)) : declared.length);
  return values.sort((a, b) => rank(a) - rank(b) || String(a).localeCompare(String(b), undefined, { numeric: true }));
}

/** A series as shares of the sum over all series of its axis; null where that sum is 0. */
function sharesOf({ values, side }, series) {
  const beside = series.filter((other) => other.side === side);
  return values.map((value, index) => {
    const total = sum(beside.map((other) => other.values[index]));
    return total ? (value ?? 0) / total : null;
  });
}

/** The colour of one bar, where the panel gives colours to the values of x. */
function barColor({ panel, split, series, labels }, index) {
  const color = !split && series.length === 1 ? panel.colors?.[labels[index]] : undefined;
  return color && visible(color);
}

const xTitle = ({ axis_titles: titles }) => ({ name: titles?.x ?? "", nameLocation: "middle", nameGap: 24 });

function valueAxis({ panel, series, sides, percentage }, side, look) {
  const { metric } = series.find((one) => one.side === side);
  const whole = series.every(({ values }) => values.every(Number.isInteger));
  return {
    type: "value",
    position: side,
    name: panel.axis_titles?.[side] ?? "",
    nameLocation: "end",
    nameGap: 10,
    nameTextStyle: { color: look.muted, fontSize: FONT_SIZE, align: side, padding: 0 },
    splitNumber: Math.max(2, Math.min(5, Math.round(look.height / 55))),
    ...(percentage ? { max: 1, interval: 0.25 } : { minInterval: whole ? 1 : undefined }),
    splitLine: { show: side === sides[0], lineStyle: { color: look.line, opacity: 0.6 } },
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: { formatter: (value) => formatValue(value, percentage ? SHARE : metric, { compact: true }) },
  };
}

function drawSeries(model, { name, color, side, drawn }, data) {
  const { panel, stacked, sides, series } = model;
  return {
    id: name,
    name,
    color,
    data: points(model, drawn, data),
    yAxisIndex: sides.indexOf(side),
    stack: stacked ? side : undefined,
    emphasis: { focus: series.length > 1 ? "series" : "none" },
    triggerLineEvent: true,
    cursor: "pointer",
    ...(panel.chart === "bar" ? barStyle(model) : lineStyle(model, drawn)),
  };
}

/** A missing value is a gap, or 0 in a stack; bars over time stand in the middle of their bucket. */
function points(model, drawn, { interval_ms: interval }) {
  const shift = model.panel.chart === "bar" ? (interval ?? 0) / 2 : 0;
  return drawn.map((value, index) => {
    const shown = model.stacked && !model.percentage ? (value ?? 0) : value;
    return model.time
      ? [model.xs[index] + shift, shown]
      : { value: shown, itemStyle: { color: barColor(model, index) } };
  });
}

const barStyle = ({ time, stacked }) => ({
  type: "bar",
  barMaxWidth: 42,
  barMinHeight: stacked ? 0 : 1,
  barCategoryGap: time ? "12%" : "28%",
});

function lineStyle({ panel, stacked }, values) {
  const missing = (index) => (values[index] ?? null) === null;
  // A point between two gaps is no line: it is drawn as a dot. Dots for all would be slow.
  const alone = (index) => !stacked && !missing(index) && missing(index - 1) && missing(index + 1);
  const area = panel.chart === "area";
  return {
    type: "line",
    connectNulls: false,
    symbol: "circle",
    showSymbol: values.some((_, index) => alone(index)),
    symbolSize: (_, { dataIndex }) => (alone(dataIndex) ? 5 : 0),
    lineStyle: { width: area && stacked ? 1 : 2 },
    areaStyle: area ? { opacity: stacked ? 0.7 : 0.18 } : undefined,
  };
}

function tooltip(model, { interval_ms: interval }, look) {
  const { panel, time, xs, labels } = model;
  return {
    ...tooltipBox,
    trigger: "axis",
    axisPointer: {
      type: panel.chart === "bar" && !time ? "shadow" : "line",
      lineStyle: { color: look.muted },
      shadowStyle: { color: look.line, opacity: 0.35 },
    },
    formatter: ([{ dataIndex }]) => {
      const heading = time ? bucketLabel(xs[dataIndex], interval) : labels[dataIndex];
      return tooltipContent(heading, tooltipLines(model, dataIndex));
    },
  };
}

/** The values at one x, the largest first. */
function tooltipLines(model, index) {
  return model.series
    .filter(({ values }) => values[index] !== null)
    .sort((a, b) => b.values[index] - a.values[index])
    .map(({ name, color, metric, values, drawn }) => ({
      name,
      color: barColor(model, index) ?? color,
      text:
        formatValue(values[index], metric, { unit: true }) +
        (model.percentage ? ` (${formatValue(drawn[index], SHARE)})` : ""),
    }));
}
