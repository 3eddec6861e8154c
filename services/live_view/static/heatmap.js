/** A figure for each pair of two values, as colour. */

import { textOn } from "./colors.js";
import {
  FONT_SIZE,
  axis,
  bucketLabel,
  categoryAxis,
  columnsOf,
  describe,
  tooltipBox,
  tooltipContent,
  unique,
  valueOfX,
  valuesOfX,
} from "./chart_parts.js";
import { columnLabel, formatTick, formatValue, toTime } from "./format.js";

/**
 * @param {object} panel
 * @param {import("./chart_parts.js").Data} data
 * @param {import("./chart_parts.js").Look} look
 * @returns {import("./chart_parts.js").Drawing}
 */
export function heatmap(panel, data, look) {
  const [x] = columnsOf(data, "x");
  const [metric] = columnsOf(data, "metric");
  const [y] = [...columnsOf(data, "series"), ...columnsOf(data, "row")];
  const xs = valuesOfX(x, data);
  const ys = unique(data.rows.map((row) => row[y.index]));
  const span = toTime(data.to) - toTime(data.from);
  const xLabels = xs.map((value) => (x.type === "time" ? formatTick(value, span) : formatValue(value, x)));
  const yLabels = ys.map((value) => formatValue(value, y));
  const figures = data.rows.map((row) => row[metric.index]).filter((value) => value !== null);
  const [low, high] = [Math.min(0, ...figures), Math.max(...figures)];
  const cells = data.rows
    .filter((row) => row[metric.index] !== null)
    .map((row) => ({
      value: [xs.indexOf(valueOfX(x, row)), ys.indexOf(row[y.index]), row[metric.index]],
      label: { color: textOn(blend(look.low, look.high, high > low ? (row[metric.index] - low) / (high - low) : 0)) },
    }));
  const roomy = look.width / xs.length > 46 && look.height / ys.length > 20;
  const option = {
    grid: { left: 6, right: 10, top: 6, bottom: 34, outerBoundsMode: "same", outerBoundsContain: "all" },
    xAxis: axis(xAxis(x, xLabels, look), look),
    yAxis: [axis(yAxis(yLabels), look)],
    visualMap: scale(low, high, metric, look),
    tooltip: {
      ...tooltipBox,
      trigger: "item",
      formatter: ({ value: [column, row, value], color }) => {
        const heading = x.type === "time" ? bucketLabel(xs[column], data.interval_ms) : xLabels[column];
        const text = formatValue(value, metric, { unit: true });
        return tooltipContent(`${heading} · ${yLabels[row]}`, [{ color, name: columnLabel(metric), text }]);
      },
    },
    series: [
      {
        id: "cells",
        type: "heatmap",
        data: cells,
        label: {
          show: roomy,
          fontSize: FONT_SIZE,
          formatter: ({ value }) => formatValue(value[2], metric, { compact: true }),
        },
        itemStyle: { borderColor: look.surface, borderWidth: 1 },
        emphasis: { itemStyle: { borderColor: look.text } },
      },
    ],
  };
  const picksOf = ({ value: [column, row] }) => [
    { column: y, value: ys[row] },
    ...(x.type === "time" ? [] : [{ column: x, value: xs[column] }]),
  ];
  return { option, picksOf, description: describe("Heat map", panel, yLabels, xs, x) };
}

function xAxis(x, labels, { width }) {
  const own = categoryAxis(labels, width - 110);
  return x.type === "time" ? { ...own, axisLabel: { interval: "auto" } } : own;
}

const yAxis = (labels) => ({
  type: "category",
  data: labels,
  inverse: true,
  axisTick: { show: false },
  axisLabel: { width: 130, overflow: "truncate", interval: 0 },
});

const scale = (low, high, metric, look) => ({
  min: low,
  max: high > low ? high : low + 1,
  calculable: false,
  orient: "horizontal",
  left: "center",
  bottom: 0,
  itemWidth: 10,
  itemHeight: 120,
  inRange: { color: [look.low, look.high] },
  text: [formatValue(high, metric), formatValue(low, metric)],
  textStyle: { color: look.muted, fontSize: FONT_SIZE },
});

/** The colour between two of the form "rgb(r, g, b)". */
function blend(from, to, share) {
  const [a, b] = [from, to].map((color) => color.match(/[\d.]+/g).map(Number));
  return `rgb(${[0, 1, 2].map((i) => a[i] + (b[i] - a[i]) * share).join(", ")})`;
}
