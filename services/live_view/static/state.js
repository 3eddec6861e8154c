/** What the page shows is in its address: dashboard, time range, refresh, theme, filters. And calls to the server. */

/**
 * @typedef {{dashboard: string, from: string|null, to: string|null, refresh: number|null, theme: string|null,
 *   filters: Object<string, string[]>}} State   null: the dashboard's own default; filters are values by field
 */

export const RETRY_SECONDS = 10;
const TIMEOUT_SECONDS = 30;
const SHORTEST_REFRESH_SECONDS = 5;
const FILTER = "f.";

/** @returns {State} */
export function readState(url = new URL(location.href)) {
  const query = url.searchParams;
  const filters = Object.create(null); // names come from the address
  for (const [name, value] of query) {
    if (name.startsWith(FILTER)) (filters[name.slice(FILTER.length)] ??= []).push(value);
  }
  const refresh = Number.parseInt(query.get("refresh"), 10);
  return {
    dashboard: decodeURIComponent(url.pathname.match(/^\/d\/([^/]+)/)?.[1] ?? ""),
    from: query.get("from"),
    to: query.get("to"),
    refresh: Number.isNaN(refresh) ? null : refresh > 0 ? Math.max(SHORTEST_REFRESH_SECONDS, refresh) : 0,
    theme: ["light", "dark"].includes(query.get("theme")) ? query.get("theme") : null,
    filters,
  };
}

/** @param {State} state */
export function addressOf(state) {
  const query = new URLSearchParams();
  for (const name of ["from", "to", "refresh", "theme"]) if (state[name] !== null) query.set(name, state[name]);
  for (const [name, values] of Object.entries(state.filters)) {
    for (const value of values) query.append(FILTER + name, value);
  }
  return `/d/${encodeURIComponent(state.dashboard)}${query.size ? `?${query}` : ""}`;
}

/** The filters with one value of a field added or taken away; `multiple` false: in place of the one before. */
export function toggleFilter(filters, field, value, multiple = true) {
  const present = filters[field] ?? [];
  const without = present.filter((other) => other !== value);
  const values = without.length < present.length ? without : multiple ? [...present, value] : [value];
  return values.length ? { ...filters, [field]: values } : withoutFilter(filters, field);
}

export function withoutFilter(filters, field) {
  const { [field]: _, ...others } = filters;
  return others;
}

/** An answer that is not the one asked for. `message` is a sentence part for people; `status` 0: no answer at all. */
export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * JSON from the server; POST where there is a body.
 * @param {string} path
 * @param {{body?: object, signal?: AbortSignal}} [options]
 * @throws {ServerError} and an AbortError when `signal` says so
 */
export async function ask(path, { body, signal } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_SECONDS * 1000);
  const request = { cache: "no-store", signal: signal ? AbortSignal.any([signal, timeout]) : timeout };
  if (body)
    Object.assign(request, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  try {
    const response = await fetch(`/api/${path}`, request);
    if (response.ok) return await response.json();
    const { detail } = await response.json().catch(() => ({}));
    throw new ServerError(
      typeof detail === "string" ? detail : `the server answered with status ${response.status}`,
      response.status,
    );
  } catch (error) {
    if (error instanceof ServerError || signal?.aborted) throw error;
    throw new ServerError(
      error.name === "TimeoutError"
        ? `there was no answer in ${TIMEOUT_SECONDS} s`
        : "the live view's server does not answer",
      0,
    );
  }
}
