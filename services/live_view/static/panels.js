/** One panel of a dashboard: its frame, its states, and what it draws. */

import { Chart } from "./charts.js";
import { textOn, thresholdColor, visible } from "./colors.js";
import { create } from "./dom.js";
import { columnLabel, formatValue } from "./format.js";
import { VegaMap } from "./map.js";
import { csv, download, table } from "./table.js";

const CHARTS = { xy: Chart, pie: Chart, vega: VegaMap };
const STATIC = new Set(["markdown", "links"]);

/**
 * @typedef {{labelOf: (field: string) => string, addressOf: (dashboard: string) => string,
 *   drilldownAddress: (drilldown: object, picks: Array) => string,
 *   actionOf: (panel: object, column: object) => string|null,
 *   pick: (panel: object, picks: Array, event: MouseEvent) => void}} Page  what a panel needs of the page around it
 */

export class Panel {
  /** @param {object} definition  @param {Page} page */
  constructor(definition, page) {
    this.definition = definition;
    this.page = page;
    this.sorting = null;
    this.body = create("div", { className: "panel-body" });
    this.message = create("p", { className: "panel-message" });
    this.note = create("p", { className: "panel-note", hidden: true });
    this.element = create("section", { className: "panel" }, this.header(), this.body, this.message, this.note);
    Object.assign(this.element.dataset, {
      panelId: definition.id,
      kind: definition.kind,
      state: STATIC.has(definition.kind) ? "ready" : "loading",
    });
    const { x, y, w, h } = definition.grid;
    this.element.style.cssText = `--x: ${x + 1}; --y: ${y + 1}; --w: ${w}; --h: ${h}`;
    this.fill();
  }

  header() {
    const { id, title, hide_title: hidden, description, kind } = this.definition;
    const heading = create("h2", { id: `title-${id}`, textContent: title, title: description || title });
    const header = create("header", { className: "panel-header" }, heading);
    if (hidden || !title) heading.classList.add("visually-hidden");
    if (description) header.append(this.information(description));
    const tools = create("div", { className: "panel-tools" });
    if (kind in CHARTS) tools.append(this.tableButton());
    if (kind in CHARTS || kind === "table") tools.append(this.csvButton());
    this.drilldowns = create("span", { className: "drilldowns" });
    tools.append(this.drilldowns);
    if (tools.childNodes.length > 1 || this.definition.drilldowns?.length) header.append(tools);
    header.classList.toggle(
      "bare",
      heading.classList.contains("visually-hidden") && !header.contains(tools) && !description,
    );
    return header;
  }

  information(description) {
    const id = `about-${this.definition.id}`;
    const button = create("button", {
      type: "button",
      className: "information",
      ariaLabel: `About ${this.definition.title}`,
    });
    button.setAttribute("aria-describedby", id);
    return create(
      "span",
      { className: "information-anchor" },
      button,
      create("span", { id, role: "tooltip", textContent: description }),
    );
  }

  tableButton() {
    this.toggle = create("button", {
      type: "button",
      textContent: "Table",
      ariaLabel: `Table: ${this.definition.title}`,
      ariaExpanded: "false",
      disabled: true,
    });
    this.toggle.setAttribute("aria-controls", `table-${this.definition.id}`);
    this.toggle.addEventListener("click", () => this.openTable(this.toggle.ariaExpanded !== "true"));
    return this.toggle;
  }

  csvButton() {
    this.save = create("button", {
      type: "button",
      textContent: "CSV",
      ariaLabel: `CSV: ${this.definition.title}`,
      title: "Download these rows",
      disabled: true,
    });
    this.save.addEventListener("click", () =>
      download(`${this.definition.title || this.definition.id}.csv`, csv(this.data)),
    );
    return this.save;
  }

  /** The parts of the body that stay while figures come and go. */
  fill() {
    const { id, kind, html, items } = this.definition;
    this.element.setAttribute("aria-labelledby", `title-${id}`);
    if (kind === "markdown") this.body.innerHTML = html;
    if (kind === "links")
      this.links = this.body.appendChild(
        create("ul", { className: `links ${this.definition.layout ?? "horizontal"}` }),
      );
    if (kind === "metric") this.tiles = this.body.appendChild(create("div", { className: "metrics" }));
    if (kind in CHARTS) {
      this.canvas = this.body.appendChild(create("div", { className: "chart" }));
    }
    if (kind in CHARTS || kind === "table") {
      this.rows = this.body.appendChild(
        create("div", {
          className: "rows",
          id: `table-${id}`,
          tabIndex: 0,
          role: "region",
          ariaLabel: `${this.definition.title}: table`,
          hidden: kind !== "table",
        }),
      );
    }
    this.linkAddresses(items);
  }

  /** Links carry the page's time range and filters, so they are written again when those change. */
  linkAddresses(items = this.definition.items) {
    this.links?.replaceChildren(
      ...items.map(({ label, dashboard, url }) => {
        const link = create("a", { textContent: label, href: dashboard ? this.page.addressOf(dashboard) : url });
        if (url) Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
        return create("li", {}, link);
      }),
    );
    this.drilldowns.replaceChildren(
      ...(this.definition.drilldowns ?? []).map((drilldown) =>
        create("a", { href: this.page.drilldownAddress(drilldown, []), textContent: `${drilldown.name} →` }),
      ),
    );
  }

  /** @param {object} data  the panel's part of an answer */
  show(data) {
    if (STATIC.has(this.definition.kind)) return;
    this.data = data;
    const empty = !data.error && !this.hasFigures(data);
    this.state = data.error ? "error" : empty ? "empty" : "ready";
    this.element.dataset.state = this.state;
    this.message.textContent = data.error ?? (empty ? "No data in this time range" : "");
    this.showNote(data);
    for (const button of [this.toggle, this.save]) if (button) button.disabled = this.state !== "ready";
    if (this.state === "ready") this.draw();
  }

  /** Whether there is something to show: at least one figure. */
  hasFigures({ columns, rows }) {
    const metrics = columns.map(({ role }, index) => (role === "metric" ? index : -1)).filter((index) => index >= 0);
    return rows.some((row) => metrics.some((index) => row[index] !== null));
  }

  showNote({ warning, ignored_filters: ignored = [] }) {
    const unfiltered = ignored.map((field) => this.page.labelOf(field)).join(", ");
    const sentences = [warning, unfiltered && `Not filtered by ${unfiltered}: its index has no such field.`].filter(
      Boolean,
    );
    this.note.textContent = sentences.join(" ");
    this.note.hidden = sentences.length === 0;
    this.note.title = this.note.textContent;
  }

  /** Draws the rows it has, in the present theme and size. */
  draw() {
    if (this.state !== "ready") return;
    if (this.broken) this.fail(this.broken);
    if (this.definition.kind === "metric") this.drawMetrics();
    if (this.chart && !this.canvas.hidden) this.drawChart();
    if (this.rows && !this.rows.hidden) this.drawTable();
  }

  /** Makes the chart, empty, once the panel is in the page: there is time for it while the figures are on their way. */
  prepare() {
    const { kind } = this.definition;
    if (!(kind in CHARTS)) return;
    try {
      this.chart = new CHARTS[kind](this.canvas, this.definition, (picks, event) =>
        this.page.pick(this.definition, picks, event),
      );
    } catch (error) {
      this.broken = error;
      this.draw();
      return;
    }
    new ResizeObserver(
      ([
        {
          contentRect: { width, height },
        },
      ]) => {
        if (width && this.chart.resize(Math.floor(width), Math.floor(height))) this.draw();
      },
    ).observe(this.canvas);
    this.draw();
  }

  async drawChart() {
    try {
      await this.chart.update(this.data);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    console.error(error);
    this.element.dataset.state = "error";
    this.message.textContent = `This chart cannot be drawn: ${error.message}.`;
  }

  drawTable() {
    const { scrollTop, scrollLeft } = this.rows;
    const focused = [...this.rows.querySelectorAll("button, a")].indexOf(document.activeElement);
    this.rows.replaceChildren(
      table(this.definition, this.data, {
        sorting: this.sorting,
        onSort: (column) => this.sort(column),
        actionOf: (column) => this.page.actionOf(this.definition, column),
        onPick: (picks, event) => this.page.pick(this.definition, picks, event),
      }),
    );
    Object.assign(this.rows, { scrollTop, scrollLeft });
    if (focused >= 0) this.rows.querySelectorAll("button, a")[focused]?.focus({ preventScroll: true });
  }

  /** Ascending, descending, then as the rows came. */
  sort(column) {
    const again = this.sorting?.column === column;
    this.sorting = again && this.sorting.descending ? null : { column, descending: again };
    this.drawTable();
  }

  openTable(open) {
    this.toggle.ariaExpanded = String(open);
    this.rows.hidden = !open;
    this.canvas.hidden = open;
    this.draw();
  }

  /** One tile a row: the first figure large, the others beneath it. */
  drawMetrics() {
    const { columns, rows } = this.data;
    const metrics = columns
      .map((column, index) => ({ column, index }))
      .filter(({ column }) => column.role === "metric");
    const names = columns.map((column, index) => ({ column, index })).filter(({ column }) => column.role !== "metric");
    const titled = this.definition.title && !this.definition.hide_title;
    this.tiles.replaceChildren(
      ...rows.map((row) => {
        const [{ column, index }, ...others] = metrics;
        const label = names.map((name) => formatValue(row[name.index], name.column)).join(" · ") || column.label;
        const value = create("span", {
          className: "metric-value",
          textContent: formatValue(row[index], column, { unit: true }),
        });
        value.style.setProperty("--characters", value.textContent.length);
        const tile = create("div", { className: "metric" }, value);
        if (names.length || !titled)
          tile.append(create("span", { className: "metric-label", textContent: label, title: label }));
        tile.append(
          ...others.map((other) =>
            create("span", {
              className: "metric-label",
              textContent: `${columnLabel(other.column)} ${formatValue(row[other.index], other.column)}`,
            }),
          ),
        );
        this.paint(tile, value, row[index]);
        return tile;
      }),
    );
  }

  /** The figure's colour by its thresholds, moved as far as reading it needs. */
  paint(tile, value, figure) {
    const { color: rule, static_color: fixed } = this.definition;
    const color = figure === null ? null : rule ? thresholdColor(figure, rule) : fixed;
    if (!color) return;
    if (rule?.apply_to === "background") {
      Object.assign(tile.style, { background: color, color: textOn(color) });
      tile.classList.add("filled");
    } else {
      value.style.color = visible(color, 4.5);
    }
  }
}
