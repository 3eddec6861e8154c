/** Tables of a panel's rows, and the same rows as a CSV file. */

import { textOn, thresholdColor, visible } from "./colors.js";
import { columnLabel, formatValue, toTime } from "./format.js";

/** More rows than this are in the CSV only. */
const TABLE_ROWS = 1000;

/** @typedef {{column: number, descending: boolean}} Sorting */

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

/** Rows in the order of one column, nulls last; as they came where there is no sorting. */
function sorted(rows, sorting) {
  if (!sorting) return rows;
  const { column, descending } = sorting;
  return rows.toSorted((a, b) => {
    const order = compare(a[column] ?? null, b[column] ?? null);
    return descending && (a[column] ?? null) !== null && (b[column] ?? null) !== null ? -order : order;
  });
}

/**
 * @param {{title: string}} panel
 * @param {{columns: import("./format.js").Column[], rows: Array<Array>}} data
 * @param {{sorting?: Sorting, onSort: (column: number) => void,
 *   actionOf: (column: import("./format.js").Column) => string|null,
 *   onPick: (picks: Array, event: MouseEvent) => void}} options  actionOf: what a click on the column's values does
 * @returns {HTMLTableElement}
 */
export function table(panel, { columns, rows }, { sorting, onSort, actionOf, onPick }) {
  const element = document.createElement("table");
  const more = rows.length > TABLE_ROWS ? ` (the first ${TABLE_ROWS} of ${rows.length} rows; the CSV has all)` : "";
  element.createCaption().textContent = panel.title + more;
  const heading = element.createTHead().insertRow();
  columns.forEach((column, index) => heading.append(headingCell(column, index, sorting, onSort)));
  const body = element.createTBody();
  const actions = columns.map(actionOf);
  const bounds = columns.map((column, index) => {
    const figures = rows.map((row) => row[index]).filter(Number.isFinite);
    return [Math.min(...figures), Math.max(...figures)];
  });
  for (const row of sorted(rows, sorting).slice(0, TABLE_ROWS)) {
    const line = body.insertRow();
    columns.forEach((column, index) => line.append(cell(column, row[index], actions[index], onPick, bounds[index])));
  }
  return element;
}

function headingCell(column, index, sorting, onSort) {
  const cell = document.createElement("th");
  cell.scope = "col";
  cell.className = column.type;
  const button = cell.appendChild(document.createElement("button"));
  button.type = "button";
  button.textContent = columnLabel(column) || "Group";
  button.addEventListener("click", () => onSort(index));
  if (sorting?.column === index) cell.ariaSort = sorting.descending ? "descending" : "ascending";
  return cell;
}

function cell(column, value, action, onPick, bounds) {
  const element = document.createElement("td");
  element.className = column.type;
  const text = isLink(value) ? readableAddress(value) : formatValue(value, column);
  const known = value !== null && value !== undefined && value !== "";
  const content = element.appendChild(
    document.createElement(known && action ? "button" : isLink(value) ? "a" : "span"),
  );
  content.textContent = text;
  content.dir = "auto";
  if (text.length > 60) content.title = text;
  if (content.tagName === "A") Object.assign(content, { href: value, target: "_blank", rel: "noopener noreferrer" });
  if (content.tagName === "BUTTON") {
    Object.assign(content, { type: "button", title: `${action}: ${text}` });
    content.addEventListener("click", (event) => onPick([{ column, value }], event));
  }
  if (column.color?.thresholds && Number.isFinite(value))
    paint(element, thresholdColor(value, column.color, bounds), column.color.apply_to);
  return element;
}

/** Colours a cell, or only its text, legibly. */
function paint(element, color, applyTo) {
  if (applyTo === "text" || applyTo === "value") element.style.color = visible(color, 4.5);
  else Object.assign(element.style, { background: color, color: textOn(color) });
}

/** An address without percent signs, where it can be read so. */
function readableAddress(address) {
  try {
    return decodeURI(address);
  } catch {
    return address;
  }
}

const isLink = (value) => typeof value === "string" && value.startsWith("https://") && URL.canParse(value);

/**
 * RFC 4180, with a byte order mark so that spreadsheets read UTF-8. Text that a spreadsheet would run as a formula
 * begins with an apostrophe (OWASP, CSV injection).
 * @param {{columns: import("./format.js").Column[], rows: Array<Array>}} data
 * @returns {string}
 */
export function csv({ columns, rows }) {
  const field = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const plain = (value, column) =>
    column.type === "time" && value !== null ? new Date(toTime(value)).toISOString() : value;
  const lines = [
    columns.map(columnLabel),
    ...rows.map((row) => columns.map((column, index) => plain(row[index], column))),
  ];
  return "\ufeff" + lines.map((line) => `${line.map(field).join(",")}\r\n`).join("");
}

/** Saves text as a file of the browser's user. */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 0);
}
