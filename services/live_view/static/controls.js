/** The filters and the time range: popovers that open with a click or Enter, and close with Escape or elsewhere. */

import { create } from "./dom.js";
import { formatClock, formatTime } from "./format.js";
import { ask, withoutFilter } from "./state.js";

const SEARCH_DELAY_MS = 200;

export const QUICK_RANGES = [
  ["now-15m", "Last 15 minutes"],
  ["now-1h", "Last hour"],
  ["now-6h", "Last 6 hours"],
  ["now-24h", "Last 24 hours"],
  ["now-7d", "Last 7 days"],
];

/** Makes a <details> a popover. @param {HTMLDetailsElement} details  @param {() => void} onOpen */
function popover(details, onOpen) {
  details.addEventListener("toggle", () => details.open && onOpen());
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    details.open = false;
    details.querySelector("summary").focus();
  });
  details.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget && !details.contains(relatedTarget)) details.open = false;
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (details.open && !details.contains(target)) details.open = false;
  });
}

/** A filter: the values of one field with their counts, and a search among them. */
export class FilterControl {
  /**
   * @param {{id: string, label: string, field: string, multiple: boolean}} control
   * @param {{dashboard: string, query: () => {from: string, to: string, filters: object}, selected: () => string[],
   *   onToggle: (value: string) => void}} page
   */
  constructor(control, page) {
    this.control = control;
    this.page = page;
    this.label = create("span", { className: "popover-label" });
    this.search = create("input", { type: "search", placeholder: "Search", ariaLabel: `Search in ${control.label}` });
    this.list = create("div", { className: "options", role: "group", ariaLabel: control.label });
    this.element = create(
      "details",
      { className: "popover control" },
      create("summary", {}, this.label),
      create("div", { className: "popover-body" }, this.search, this.list),
    );
    this.element.dataset.controlId = control.id;
    popover(this.element, () => this.load());
    this.search.addEventListener("input", () => {
      clearTimeout(this.delay);
      this.delay = setTimeout(() => this.load(), SEARCH_DELAY_MS);
    });
    this.show();
  }

  /** The choice, in the summary and in the open list. */
  show() {
    const selected = this.page.selected();
    const values =
      selected.length > 2 ? `${selected.slice(0, 2).join(", ")} +${selected.length - 2}` : selected.join(", ");
    this.label.replaceChildren(create("b", { textContent: this.control.label }), ` ${values || "any"}`);
    this.element.classList.toggle("active", selected.length > 0);
    for (const box of this.list.querySelectorAll("input")) box.checked = selected.includes(box.value);
  }

  async load() {
    this.request?.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    const { from, to, filters } = this.page.query();
    try {
      const body = {
        control: this.control.id,
        from,
        to,
        filters: withoutFilter(filters, this.control.field),
        search: this.search.value,
      };
      const { options } = await ask(`dashboards/${encodeURIComponent(this.page.dashboard)}/options`, { body, signal });
      this.fill(options);
    } catch (error) {
      if (!signal.aborted)
        this.list.replaceChildren(
          create("p", { className: "form-error", textContent: `The values cannot be read: ${error.message}` }),
        );
    }
  }

  /** @param {Array<{value: unknown, count: number}>} options */
  fill(options) {
    const found = new Map(options.map(({ value, count }) => [String(value), count]));
    const missing = this.search.value ? [] : this.page.selected().filter((value) => !found.has(value));
    const rows = [...missing.map((value) => [value, 0]), ...found].map(([value, count]) => this.option(value, count));
    this.list.replaceChildren(
      ...(rows.length ? rows : [create("p", { className: "hint", textContent: "No such value in this time range" })]),
    );
    this.show();
  }

  option(value, count) {
    const box = create("input", { type: "checkbox", value });
    box.addEventListener("change", () => this.page.onToggle(value));
    return create(
      "label",
      { className: "option" },
      box,
      create("span", { className: "option-value", textContent: value, title: value }),
      create("span", { className: "option-count", textContent: count.toLocaleString() }),
    );
  }
}

/** The time range: five quick ones, or from and to. */
export class TimeRange {
  /**
   * @param {HTMLDetailsElement} element
   * @param {{range: () => {from: string, to: string}, resolved: () => {from: number, to: number}|null,
   *   onChange: (from: string, to: string) => void}} page  resolved: the range of the figures, in milliseconds
   */
  constructor(element, page) {
    this.element = element;
    this.page = page;
    this.form = element.querySelector("form");
    popover(element, () => this.prefill());
    const quick = element.querySelector("#quick-ranges");
    quick.append(
      ...QUICK_RANGES.map(([from, label]) => {
        const button = create("button", { type: "button", textContent: label });
        button.dataset.from = from;
        button.addEventListener("click", () => this.choose(from, "now"));
        return button;
      }),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.apply();
    });
    this.show();
  }

  show() {
    const { from, to } = this.page.range();
    const quick = to === "now" && QUICK_RANGES.find(([start]) => start === from);
    const text = (limit) => (Number.isNaN(Date.parse(limit)) ? limit : formatClock(Date.parse(limit)));
    this.element.querySelector(".popover-label").textContent = quick ? quick[1] : `${text(from)} to ${text(to)}`;
    for (const button of this.element.querySelectorAll("[data-from]"))
      button.ariaPressed = String(to === "now" && button.dataset.from === from);
  }

  prefill() {
    const resolved = this.page.resolved();
    this.form.querySelector(".form-error").textContent = "";
    if (!resolved) return;
    this.form.elements.from.value = localInput(resolved.from);
    this.form.elements.to.value = localInput(resolved.to);
  }

  apply() {
    const [from, to] = ["from", "to"].map((name) => new Date(this.form.elements[name].value));
    if (from >= to) {
      this.form.querySelector(".form-error").textContent = `The end must be after ${formatTime(from.getTime())}.`;
      return;
    }
    this.choose(from.toISOString(), to.toISOString());
  }

  choose(from, to) {
    this.element.open = false;
    this.element.querySelector("summary").focus();
    this.page.onChange(from, to);
  }
}

/** Milliseconds as the local value of an <input type="datetime-local">. */
function localInput(milliseconds) {
  const time = new Date(milliseconds);
  return new Date(milliseconds - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
