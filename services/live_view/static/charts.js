/** A panel's chart, drawn by Apache ECharts and updated in place. */

import { isDark, themeColors } from "./colors.js";
import { FONT_SIZE } from "./chart_parts.js";
import { pie } from "./pie.js";
import { xy } from "./xy.js";

const DRAWINGS = { xy, pie };

export class Chart {
  /**
   * @param {HTMLElement} element
   * @param {object} panel  its definition
   * @param {(picks: import("./chart_parts.js").Pick[], event: MouseEvent) => void} onPick
   */
  constructor(element, panel, onPick) {
    if (typeof echarts === "undefined") {
      throw new Error("the chart library is missing; run `npm ci` in services/live_view");
    }
    this.panel = panel;
    this.chart = echarts.init(element);
    this.chart.on("click", (event) => onPick(this.picksOf(event), event.event.event));
  }

  /** @param {import("./chart_parts.js").Data} data */
  update(data) {
    const look = { width: this.chart.getWidth(), height: this.chart.getHeight(), ...themeColors() };
    const { option, picksOf, description } = DRAWINGS[this.panel.kind](this.panel, data, look);
    this.picksOf = picksOf;
    const structure = JSON.stringify([option.series.map(({ id, type }) => [id, type]), option.yAxis?.length, isDark()]);
    this.chart.setOption({ ...common(description), ...option }, { notMerge: structure !== this.structure });
    this.structure = structure;
  }

  /** Takes the element's size. @returns {boolean} whether it is another one, to draw again for */
  resize(width, height) {
    if (width === this.chart.getWidth() && height === this.chart.getHeight()) return false;
    this.chart.resize({ width, height });
    return true;
  }
}

const common = (description) => ({
  animation: false,
  aria: { enabled: true, label: { description } },
  textStyle: { fontFamily: getComputedStyle(document.documentElement).fontFamily, fontSize: FONT_SIZE },
});
