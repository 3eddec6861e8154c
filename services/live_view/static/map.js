/** Vega panels, drawn without `eval`, which the page's CSP forbids: expressions are trees for vega-interpreter. */

import { themeColors } from "./colors.js";

const loadScript = (path) =>
  new Promise((resolve, reject) => {
    const script = document.head.appendChild(document.createElement("script"));
    script.src = path;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () =>
      reject(new Error(`${path} is missing; run \`npm ci\` in services/live_view`)),
    );
  });

let loading;

/** Vega, once, and only on pages that have a map: half a megabyte. */
function loadVega() {
  loading ??= loadScript("/vendor/vega/build/vega.min.js").then(() =>
    loadScript("/vendor/vega-interpreter/build/vega-interpreter.min.js"),
  );
  return loading;
}

function config(colors) {
  const text = {
    labelColor: colors.muted,
    titleColor: colors.text,
    domainColor: colors.line,
    tickColor: colors.line,
    gridColor: colors.line,
  };
  return { background: null, axis: text, legend: text, title: { color: colors.text }, text: { fill: colors.text } };
}

/** The spec in the size of its element, unless it sets its own. */
function fitted(spec, { width, height }) {
  const declared = new Set((spec.signals ?? []).map(({ name }) => name));
  return {
    autosize: { type: "fit", contains: "padding" },
    ...spec,
    ...(declared.has("width") ? {} : { width }),
    ...(declared.has("height") ? {} : { height }),
  };
}

/** One Vega view in one element. An update draws beside the old picture, then takes its place. */
export class VegaMap {
  constructor(element, panel, onPick) {
    Object.assign(this, { element, panel, onPick });
    loadVega().catch(() => {}); // Early; update() waits for it and tells of its failure.
  }

  /** @param {{spec: object, columns?: Array}} data */
  async update(data) {
    this.data = data;
    await loadVega();
    if (this.data !== data) return;
    const runtime = vega.parse(
      fitted(data.spec, this.size ?? { width: this.element.clientWidth, height: this.element.clientHeight }),
      config(themeColors()),
      { ast: true },
    );
    const container = document.createElement("div");
    const view = new vega.View(runtime, {
      expr: vega.expressionInterpreter,
      renderer: "canvas",
      container,
      hover: true,
      logLevel: vega.Error,
    });
    view.tooltip(showTooltip).description(`Map: ${this.panel.title}. The button Table lists the values.`);
    view.addEventListener("click", (event, item) => item?.datum && this.onPick(this.picks(item.datum), event));
    await view.runAsync();
    if (this.data !== data) return view.finalize();
    this.element.replaceChildren(container);
    this.view?.finalize();
    this.view = view;
  }

  /** What was clicked: the marks of a group are drawn of its bucket, whose `key` is the value of the first column. */
  picks(datum) {
    return (this.data.columns ?? [])
      .filter(({ field }) => field && datum.key !== undefined)
      .map((column) => ({ column, value: datum.key }));
  }

  /** Takes the element's size. @returns {boolean} whether it is another one, to draw again for */
  resize(width, height) {
    const same = this.size?.width === width && this.size?.height === height;
    this.size = { width, height };
    return !same;
  }
}

const tooltip = document.createElement("div");
tooltip.className = "chart-tooltip vega-tooltip";
tooltip.hidden = true;

/** Vega's tooltip handler: text or an object of names and values, at the pointer. */
function showTooltip(_handler, event, _item, value) {
  tooltip.hidden = value === null || value === undefined || value === "";
  if (tooltip.hidden) return;
  const content = document.createElement("div");
  if (typeof value === "object") {
    const list = content.appendChild(document.createElement("dl"));
    for (const [name, text] of Object.entries(value)) {
      list.appendChild(document.createElement("dt")).textContent = name;
      list.appendChild(document.createElement("dd")).textContent = String(text);
    }
  } else {
    content.textContent = String(value);
  }
  tooltip.replaceChildren(content);
  document.body.append(tooltip);
  const { width, height } = tooltip.getBoundingClientRect();
  tooltip.style.left = `${Math.min(event.clientX + 14, innerWidth - width - 8)}px`;
  tooltip.style.top = `${Math.min(event.clientY + 14, innerHeight - height - 8)}px`;
}
