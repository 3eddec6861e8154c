/** Colours: the same value the same colour in every panel, and legible on both themes. */

/**
 * Eight colours a theme: 3:1 or more against the surface (WCAG 1.4.11), and apart by 0.045 or more in OKLab, also as
 * seen with protanopia, deuteranopia and tritanopia (Machado, Oliveira, Fernandes 2009).
 */
const PALETTES = {
  light: ["#1f62c9", "#d97706", "#179a7c", "#b23f86", "#2a9fd6", "#8f2d14", "#6b6a0c", "#4f2f9c"],
  dark: ["#5b9bff", "#f5a83a", "#5fd3a6", "#e8578f", "#9bdcff", "#c0563c", "#958a14", "#7a5cd6"],
};

/** Distance in RGB under which a palette's colour is taken for a declared one. */
const ALIKE = 90;

/** Colours of values as the dashboard declares them, and places in the palette of those it says nothing of. */
const declaredColors = new Map();
const assignedPlaces = new Map();

/** Colours that a dashboard's panels declare hold for the same value in all of them. */
export function declareColors(colors) {
  for (const [name, color] of Object.entries(colors ?? {})) {
    if (!declaredColors.has(name)) declaredColors.set(name, color);
  }
}

/**
 * The colours of a chart's values; a value's is the same in every chart of the page.
 * @param {string[]} names
 * @param {Object<string, string>} [colors]  the panel's own
 * @returns {Map<string, string>}
 */
export function colorsOf(names, colors) {
  const here = new Set(names.map((name) => assignedPlaces.get(name)));
  const colorOf = (name) => {
    const declared = colors?.[name] ?? declaredColors.get(name);
    if (declared) return visible(declared);
    if (!assignedPlaces.has(name)) assignedPlaces.set(name, freePlace(here));
    here.add(assignedPlaces.get(name));
    return palette()[assignedPlaces.get(name)];
  };
  return new Map(names.map((name) => [name, colorOf(name)]));
}

/** The place in the palette that is not in this chart, is unlike the declared colours, and is in the least use. */
function freePlace(here) {
  const alike = (color) => [...declaredColors.values()].some((declared) => distance(color, declared) < ALIKE);
  const uses = (place) => [...assignedPlaces.values()].filter((other) => other === place).length;
  const cost = (place) => 1000 * here.has(place) + 100 * alike(palette()[place]) + uses(place);
  return Object.keys(palette())
    .map(Number)
    .sort((a, b) => cost(a) - cost(b))[0];
}

/** A declared colour as it can be told from the surface: 3:1 for shapes, 4.5:1 for text (WCAG 1.4.11, 1.4.3). */
export function visible(color, ratio = 3) {
  const { surface, text } = themeColors();
  return readable(color, surface, text, ratio);
}

/** The colour of figures that are not split by a value. */
export const primaryColor = () => palette()[0];

const palette = () => (isDark() ? PALETTES.dark : PALETTES.light);

/** Whether the page is dark now, whatever decided it. */
export function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

const themes = new Map();

/** The style sheet's colours, for canvases; read once a theme, since reading lays the page out. */
export function themeColors() {
  const dark = isDark();
  if (!themes.has(dark)) themes.set(dark, readThemeColors());
  return themes.get(dark);
}

function readThemeColors() {
  const probe = document.body.appendChild(document.createElement("i"));
  const resolve = (property) => {
    probe.style.color = `var(${property})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    text: resolve("--text"),
    muted: resolve("--muted"),
    line: resolve("--line"),
    surface: resolve("--surface"),
  };
  probe.remove();
  return colors;
}

/** @returns {number[]} red, green, blue of "#rgb", "#rrggbb" or "rgb(r, g, b)" */
function channels(color) {
  if (!color.startsWith("#"))
    return color
      .match(/[\d.]+/g)
      .slice(0, 3)
      .map(Number);
  const hex = color.length < 7 ? [...color.slice(1)].map((digit) => digit + digit).join("") : color.slice(1);
  return [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

function distance(one, other) {
  const to = channels(other);
  return Math.hypot(...channels(one).map((channel, index) => channel - to[index]));
}

/** Contrast ratio of two colours, 1 to 21 (WCAG 2.2). */
export function contrast(one, other) {
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) =>
      c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** Black or white, whichever is easier to read on a colour. */
export const textOn = (color) => (contrast(color, "#000000") > contrast(color, "#ffffff") ? "#000000" : "#ffffff");

/**
 * The colour of a figure: of the first threshold above it, else of the last.
 * @param {{range_type?: "number"|"percent", thresholds: Array<{up_to: number|null, color: string}>}} rule
 * @param {[number, number]} [bounds]  what 0 and 100 percent stand for
 */
export function thresholdColor(figure, { range_type: type, thresholds }, [low, high] = [0, 100]) {
  const place = type === "percent" && high > low ? ((figure - low) / (high - low)) * 100 : figure;
  return (
    thresholds.find(({ up_to: limit }) => limit === null || limit === undefined || place < limit) ?? thresholds.at(-1)
  ).color;
}

/** `color` moved toward `text` as little as gives the ratio on `surface`. */
function readable(color, surface, text, ratio) {
  const [from, to] = [channels(color), channels(text)];
  for (let share = 0; share < 1; share += 0.1) {
    const mixed = `rgb(${from.map((c, i) => Math.round(c + (to[i] - c) * share)).join(", ")})`;
    if (contrast(mixed, surface) >= ratio) return mixed;
  }
  return text;
}
