/** Pies and donuts: one ring per breakdown, the first the innermost. */

import { colorsOf } from "./colors.js";
import { FONT_SIZE, SHARE, columnsOf, legend, sum, tooltipBox, tooltipContent, unique } from "./chart_parts.js";
import { columnLabel, formatValue } from "./format.js";

/**
 * @typedef {{path: unknown[], name: string, size: number}} Part  path: the values of the rings up to this one
 * @typedef {{column: import("./format.js").Column, parts: Part[]}} Ring
 */

/**
 * @param {object} panel
 * @param {import("./chart_parts.js").Data} data
 * @param {import("./chart_parts.js").Look} look
 * @returns {import("./chart_parts.js").Drawing}
 */
export function pie(panel, data, look) {
  const [metric] = columnsOf(data, "metric");
  const rings = ringsOf(data, metric);
  const total = sum(rings[0].parts.map(({ size }) => size));
  const percent = (size) => formatValue(size / total, SHARE);
  const sizes = sizesByName(rings);
  const colors = colorsOf([...sizes.keys()], panel.colors);
  const layout = layoutOf(look);
  const option = {
    legend: legend([...sizes.keys()], look, {
      ...layout.legend,
      formatter: (name) => `${name}  ${percent(sizes.get(name))}`,
      textStyle: { color: look.text, fontSize: FONT_SIZE, width: layout.textWidth, overflow: "truncate" },
    }),
    tooltip: {
      ...tooltipBox,
      trigger: "item",
      formatter: ({ seriesIndex, dataIndex, color }) => {
        const { path, size } = rings[seriesIndex].parts[dataIndex];
        const heading = path.map((value, depth) => formatValue(value, rings[depth].column)).join(" · ");
        const text = `${formatValue(size, metric, { unit: true })} (${percent(size)})`;
        return tooltipContent(heading, [{ color, name: columnLabel(metric), text }]);
      },
    },
    series: rings.map(({ column, parts }, depth) => ({
      id: column.id,
      type: "pie",
      center: layout.center,
      radius: edges(layout.radius, panel.donut ? 0.5 : 0, depth, rings.length),
      label: { show: false },
      labelLine: { show: false },
      itemStyle: { borderColor: look.surface, borderWidth: 1.5 },
      emphasis: { scaleSize: 3 },
      data: parts.map(({ name, size }) => ({ name, value: size, itemStyle: { color: colors.get(name) } })),
    })),
  };
  const picksOf = ({ seriesIndex, dataIndex }) =>
    rings[seriesIndex].parts[dataIndex].path.map((value, depth) => ({ column: rings[depth].column, value }));
  const largest = [...sizes]
    .slice(0, 8)
    .map(([name, size]) => `${name} ${percent(size)}`)
    .join(", ");
  return { option, picksOf, description: `Pie chart: ${panel.title}. ${largest}. The button Table lists the values.` };
}

/** Each ring splits the one inside it, so its parts lie in the order of that one's. @returns {Ring[]} */
function ringsOf(data, metric) {
  const columns = columnsOf(data, "ring");
  const order = unique(data.rows.map((row) => row[columns[0].index]));
  return columns.map((column, depth) => {
    const parts = new Map();
    for (const row of data.rows) {
      const path = columns.slice(0, depth + 1).map(({ index }) => row[index]);
      const key = JSON.stringify(path);
      const part = parts.get(key) ?? { path, name: formatValue(row[column.index], column), size: 0 };
      part.size += row[metric.index] ?? 0;
      parts.set(key, part);
    }
    const inOrder = [...parts.values()].sort((a, b) => order.indexOf(a.path[0]) - order.indexOf(b.path[0]));
    return { column, parts: inOrder.filter(({ size }) => size > 0) };
  });
}

/** The sum of each name within its ring. @returns {Map<string, number>} */
function sizesByName(rings) {
  const sizes = new Map();
  for (const { parts } of rings) {
    const own = new Map();
    for (const { name, size } of parts) own.set(name, (own.get(name) ?? 0) + size);
    for (const [name, size] of own) if (!sizes.has(name)) sizes.set(name, size);
  }
  return sizes;
}

/** The legend beside the pie where there is room, else under it. */
function layoutOf({ width, height }) {
  const beside = width > 1.25 * height && width > 280;
  const radius = Math.max(20, (beside ? Math.min(width * 0.54, height) : Math.min(width, height - 40)) / 2 - 6);
  return beside
    ? {
        radius,
        center: [radius + 10, "50%"],
        legend: { orient: "vertical", left: 2 * radius + 32, top: "middle" },
        textWidth: Math.max(60, width - 2 * radius - 62),
      }
    : {
        radius,
        center: ["50%", radius + 6],
        legend: { orient: "horizontal", bottom: 0, left: 0, right: 0 },
        textWidth: 170,
      };
}

/** Inner and outer radius of a ring, in pixels. */
const edges = (radius, hole, depth, rings) =>
  [0, 1].map((edge) => radius * (hole + ((1 - hole) * (depth + edge)) / rings));
