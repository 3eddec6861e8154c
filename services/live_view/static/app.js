/** The page: reads its address, asks the server, shows the answer, and says how old the figures are. */

import { declareColors } from "./colors.js";
import { FilterControl, TimeRange } from "./controls.js";
import { create } from "./dom.js";
import { formatAge, formatClock, timeZone, toTime } from "./format.js";
import { Panel } from "./panels.js";
import { RETRY_SECONDS, addressOf, ask, readState, toggleFilter, withoutFilter } from "./state.js";

const REFRESH_SECONDS = [0, 5, 10, 30, 60];
const QUIET_AFTER_MS = 300_000;
const SLOW_AFTER_MS = 2000;

const byId = (id) => document.getElementById(id);

let state = readState();
let dashboard = null;
let dashboards = [];
let panels = [];
let controls = [];
let timeRange = null;

/** ECharts is run after this module, while the first answers are on their way; DOMContentLoaded comes after both. */
const chartLibrary = new Promise((resolve) => addEventListener("DOMContentLoaded", resolve));

/** What is shown: the last good answer, when it came, and the question that it answers. */
let shown = null;
/** Why the last attempt failed: {reason, retryAt}; retryAt null: no other attempt. Null after a success. */
let failure = null;
/** The request under way: its AbortController, and since when. */
let request = null;
let requestedAt = 0;
let refreshes = 0;
let nextRefresh = null;

/** What the figures depend on. */
const question = () => JSON.stringify([state.from, state.to, state.filters]);

const effective = () => ({
  from: state.from ?? dashboard.time_range.from,
  to: state.to ?? dashboard.time_range.to,
  refresh: state.refresh ?? dashboard.refresh_seconds,
});

/* ---- address -------------------------------------------------------------------------------------------------- */

/** Changes what is asked for: in the address, the header and the figures. */
function change(changes) {
  state = { ...state, ...changes };
  history.pushState(null, "", addressOf(state));
  showSettings();
  refresh();
}

const controlOf = (name) => dashboard.controls.find(({ field }) => field === name);
const labelOf = (name) => controlOf(name)?.label ?? name;

/** Takes filters that came from another dashboard out of the address, where no panel's index has their field. */
function dropForeignFilters(answers) {
  const ignored = answers.map(({ ignored_filters: fields }) => fields).filter(Boolean);
  const foreign = Object.keys(state.filters).filter(
    (name) => !controlOf(name) && ignored.every((fields) => fields.includes(name)),
  );
  if (foreign.length === 0 || ignored.length === 0) return;
  state.filters = foreign.reduce(withoutFilter, state.filters);
  history.replaceState(null, "", addressOf(state));
  for (const data of answers) data.ignored_filters = data.ignored_filters?.filter((name) => !foreign.includes(name));
  showSettings();
}

/* ---- what a click on a value does ----------------------------------------------------------------------------- */

/** The address of a drill-down, with the clicked values as filters where they have a field. */
function drilldownAddress({ dashboard: target, with_filters: withFilters, with_time: withTime }, picks) {
  const { from, to } = effective();
  let filters = withFilters ? state.filters : {};
  for (const { column, value } of picks) {
    if (column.field && value !== null) filters = { ...filters, [column.field]: [String(value)] };
  }
  return addressOf({ ...state, dashboard: target, from: withTime ? from : null, to: withTime ? to : null, filters });
}

/** What a click on a column's values does, in words; null where it does nothing. */
function actionOf(panel, column) {
  if (column.role === "metric" || column.type === "time") return null;
  if (panel.drilldowns?.length) return column.field ? `Open ${panel.drilldowns[0].name}` : null;
  return controlOf(column.field) ? `Filter by ${labelOf(column.field)}` : null;
}

function pick(panel, picks, event) {
  if (panel.drilldowns?.length === 1) return follow(drilldownAddress(panel.drilldowns[0], picks), event);
  if (panel.drilldowns?.length) return chooseDrilldown(panel.drilldowns, picks, event);
  const values = picks
    .filter(({ column, value }) => controlOf(column.field) && value !== null)
    .map(({ column, value }) => [controlOf(column.field), String(value)]);
  if (values.length === 0) return undefined;
  const isSet = ([{ field }, value]) => (state.filters[field] ?? []).includes(value);
  const toChange = values.every(isSet) ? values : values.filter((one) => !isSet(one));
  const filters = toChange.reduce(
    (all, [{ field, multiple }, value]) => toggleFilter(all, field, value, multiple),
    state.filters,
  );
  return change({ filters });
}

function follow(address, event) {
  if (event?.ctrlKey || event?.metaKey) window.open(address, "_blank", "noopener");
  else location.assign(address);
}

/** A menu at the pointer where a panel has several drill-downs. */
function chooseDrilldown(drilldowns, picks, event) {
  const menu = create(
    "div",
    { className: "menu", popover: "auto" },
    ...drilldowns.map((drilldown) =>
      create("a", { href: drilldownAddress(drilldown, picks), textContent: drilldown.name }),
    ),
  );
  document.body.append(menu);
  menu.addEventListener("toggle", ({ newState }) => newState === "closed" && menu.remove());
  menu.showPopover();
  const { width, height } = menu.getBoundingClientRect();
  const from = event.clientX ? { left: event.clientX, bottom: event.clientY } : event.target.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(from.left, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(from.bottom, innerHeight - height - 8))}px`;
  menu.querySelector("a").focus();
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

/** Asks for the figures; an answer that a later request overtook is never shown. */
async function refresh() {
  clearTimeout(nextRefresh);
  request?.abort();
  const own = new AbortController();
  request = own;
  requestedAt = Date.now();
  document.body.dataset.loading = shown?.question === question() ? "again" : "other";
  try {
    if (dashboards.length === 0) readNavigation().catch(console.error);
    if (!dashboard) await readDashboard(own.signal);
    const { from, to } = effective();
    const body = { from, to, filters: state.filters, panels: null };
    const answer = await ask(`dashboards/${encodeURIComponent(state.dashboard)}/data`, { body, signal: own.signal });
    if (own.signal.aborted) return;
    show(answer);
  } catch (error) {
    if (own.signal.aborted) return;
    fail(error);
  }
  request = null;
  document.body.dataset.loading = "no";
  schedule();
  tick();
}

async function readDashboard(signal) {
  const definition = await ask(`dashboards/${encodeURIComponent(state.dashboard)}`, { signal });
  if (signal.aborted) return;
  build(definition);
}

function show(answer) {
  failure = null;
  dropForeignFilters(Object.values(answer.panels));
  shown = { answer, question: question(), receivedAt: Date.now() };
  const { from, to } = answer;
  for (const panel of panels) panel.show({ rows: [], columns: [], ...answer.panels[panel.definition.id], from, to });
  document.body.dataset.asOf = answer.as_of;
  document.body.dataset.refreshes = String(++refreshes);
}

function fail(error) {
  console.error(error);
  // What the server calls a wrong question (4xx) stays wrong: another attempt waits for another question.
  const wrong = error.status >= 400 && error.status < 500;
  failure = { reason: error.message.replace(/\.\s*$/, ""), retryAt: wrong ? null : Date.now() + retrySeconds() * 1000 };
}

const retrySeconds = () => Math.min(RETRY_SECONDS, (dashboard && effective().refresh) || RETRY_SECONDS);

/** The next attempt: none while the tab is hidden, or when refreshing is off and nothing failed. */
function schedule() {
  clearTimeout(nextRefresh);
  const seconds = failure ? (failure.retryAt === null ? 0 : retrySeconds()) : effective().refresh;
  if (seconds && !document.hidden) nextRefresh = setTimeout(refresh, seconds * 1000);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return clearTimeout(nextRefresh);
  const due = failure || !shown || (effective().refresh && Date.now() - shown.receivedAt >= effective().refresh * 1000);
  if (due && !request) return refresh();
  schedule();
  return tick();
});

/* ---- how old the figures are ---------------------------------------------------------------------------------- */

/** Why the figures shown may not be believed, or null. */
function staleness() {
  if (failure) return failure.reason;
  if (!shown || !dashboard) return null;
  const slow = request && Date.now() - requestedAt > SLOW_AFTER_MS;
  if (slow && shown.question !== question()) return "those asked for are not here yet";
  const { refresh: seconds } = effective();
  if (!seconds || Date.now() - shown.receivedAt <= 2 * seconds * 1000) return null;
  return request ? "the next ones are not here yet" : "they were not refreshed in time";
}

/** Once a second: the ages in the header, and the banner. */
function tick() {
  showStatus();
  const reason = staleness();
  const banner = byId("banner");
  document.body.dataset.stale = String(Boolean(reason));
  banner.hidden = !reason;
  if (!reason) {
    byId("announcement").textContent = "";
    return;
  }
  const of = shown && `from ${formatClock(toTime(shown.answer.as_of))}`;
  const other = shown && shown.question !== question() ? " and not for the settings above" : "";
  const seconds = failure?.retryAt ? Math.max(0, Math.ceil((failure.retryAt - Date.now()) / 1000)) : 0;
  const retry = request ? " Trying now." : seconds ? ` Trying again in ${seconds} s.` : "";
  const figures = (old) => (shown ? `These figures are ${of}${old}${other}` : "There are no figures");
  const age = shown ? ` (${formatAge(Date.now() - shown.receivedAt)} old)` : "";
  banner.textContent = `${figures(age)}: ${reason}.${retry}`;
  const announcement = `${figures("")}: ${reason}.`;
  if (byId("announcement").textContent !== announcement) byId("announcement").textContent = announcement;
}

function showStatus() {
  if (!shown || !dashboard) return;
  const { answer, receivedAt } = shown;
  const elapsed = Date.now() - receivedAt;
  const parts = [create("span", { textContent: `as of ${formatClock(toTime(answer.as_of))}` })];
  if (!effective().refresh)
    parts.push(create("span", { className: "muted", textContent: `not refreshing, ${formatAge(elapsed)} old` }));
  parts.push(newestEvent(answer, elapsed), create("span", { className: "muted", textContent: timeZone() }));
  byId("status").replaceChildren(...parts);
}

function newestEvent({ newest, as_of: asOf }, elapsed) {
  if (!newest) return create("span", { className: "warning", textContent: "no event yet" });
  const age = toTime(asOf) - toTime(newest) + elapsed;
  const late = age > QUIET_AFTER_MS && effective().to === "now";
  return late
    ? create("span", { className: "warning", textContent: `no new event for ${formatAge(age)}` })
    : create("span", { textContent: `newest event ${formatAge(age)} ago` });
}

/* ---- building the page ---------------------------------------------------------------------------------------- */

function build(definition) {
  dashboard = definition;
  document.title = `${dashboard.name} · Crowdpulse`;
  byId("name").textContent = dashboard.name;
  byId("name").title = dashboard.description ?? "";
  for (const { colors } of dashboard.panels) declareColors(colors);
  const page = {
    labelOf,
    addressOf: (target) => addressOf({ ...state, dashboard: target }),
    drilldownAddress,
    actionOf,
    pick,
  };
  const inReadingOrder = dashboard.panels.toSorted(({ grid: a }, { grid: b }) => a.y - b.y || a.x - b.x);
  panels = inReadingOrder.map((panel) => new Panel(panel, page));
  byId("panels").replaceChildren(...panels.map(({ element }) => element));
  chartLibrary.then(() => panels.forEach((panel) => panel.prepare()));
  controls = dashboard.controls.map(
    (control) =>
      new FilterControl(control, {
        dashboard: dashboard.id,
        query: () => ({ ...effective(), filters: state.filters }),
        selected: () => state.filters[control.field] ?? [],
        onToggle: (value) => change({ filters: toggleFilter(state.filters, control.field, value, control.multiple) }),
      }),
  );
  byId("controls").replaceChildren(
    ...controls.map(({ element }) => element),
    create("span", { id: "other-filters" }),
    clearButton(),
  );
  byId("refresh-seconds").replaceChildren(
    ...[...new Set([...REFRESH_SECONDS, effective().refresh])]
      .sort((a, b) => a - b)
      .map((seconds) => create("option", { value: seconds, textContent: seconds ? `${seconds} s` : "Off" })),
  );
  timeRange = new TimeRange(byId("time-range"), {
    range: effective,
    resolved: () => shown && { from: toTime(shown.answer.from), to: toTime(shown.answer.to) },
    onChange: (from, to) => change({ from, to }),
  });
  showSettings();
}

function clearButton() {
  const button = create("button", { type: "button", id: "clear-filters", textContent: "Clear filters" });
  button.addEventListener("click", () => changeFilters({}));
  return button;
}

/** A button for each filter that has no control: it came with a drill-down, and a click takes it away. */
function showOtherFilters() {
  byId("other-filters").replaceChildren(
    ...Object.entries(state.filters)
      .filter(([name]) => !controlOf(name))
      .map(([name, values]) => {
        const button = create("button", {
          type: "button",
          className: "chip",
          title: "Remove this filter",
          textContent: `${name}: ${values.join(", ")} ×`,
        });
        button.addEventListener("click", () => changeFilters(withoutFilter(state.filters, name)));
        return button;
      }),
  );
}

/** As `change`, from a button that goes away with its filter: the focus goes on to the filters. */
function changeFilters(filters) {
  change({ filters });
  byId("controls").querySelector("summary")?.focus();
}

/** The header and every link, as the address says. */
function showSettings() {
  document.documentElement.dataset.theme = state.theme ?? "system";
  byId("theme").value = document.documentElement.dataset.theme;
  showNavigation();
  if (!dashboard) return;
  byId("refresh-seconds").value = String(effective().refresh);
  byId("clear-filters").hidden = Object.keys(state.filters).length === 0;
  showOtherFilters();
  timeRange.show();
  for (const control of controls) control.show();
  for (const panel of panels) panel.linkAddresses();
}

function showNavigation() {
  byId("dashboards").replaceChildren(
    ...dashboards.map(({ id, name, description }) => {
      const link = create("a", {
        href: addressOf({ ...state, dashboard: id }),
        textContent: name,
        title: description ?? "",
      });
      if (id === state.dashboard) link.ariaCurrent = "page";
      return link;
    }),
  );
}

async function readNavigation() {
  dashboards = await ask("dashboards");
  showNavigation();
  const navigation = byId("dashboards");
  navigation.scrollLeft = navigation.querySelector("[aria-current]")?.offsetLeft ?? 0;
}

function repaint() {
  for (const panel of panels) panel.draw();
}

byId("refresh-now").addEventListener("click", refresh);
byId("refresh-seconds").addEventListener("change", ({ target }) => change({ refresh: Number(target.value) }));
byId("theme").addEventListener("change", ({ target }) => {
  state.theme = target.value === "system" ? null : target.value;
  history.replaceState(null, "", addressOf(state));
  showSettings();
  repaint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
addEventListener("popstate", () => {
  state = readState();
  showSettings();
  refresh();
});

showSettings();
setInterval(() => document.hidden || tick(), 1000);
refresh();
