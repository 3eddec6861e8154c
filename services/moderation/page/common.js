/** What the chat and the moderator's page share: elements, words for decisions, requests, and a connection that comes back. */

const SVG = "http://www.w3.org/2000/svg";
const LONGEST_WAIT_MS = 15_000;
const TIMEOUT_MS = 20_000;

export const byId = (id) => document.getElementById(id);

/** @param {string} tag  @param {object} [properties]  @param {...(Node|string)} children  strings become text */
export function create(tag, properties = {}, ...children) {
  const { data = {}, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, data);
  element.append(...children);
  return element;
}

/** One of the drawings in icons.svg; the words beside it say the same. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  drawing.append(use);
  return drawing;
}

/* ---- words ---------------------------------------------------------------------------------------------------- */

const REASONS = {
  toxic: "toxic language",
  removed: "language that moderators often remove",
  bullying: "bullying",
  age: "bullying about age",
  ethnicity: "bullying about ethnicity",
  gender: "bullying about gender",
  religion: "bullying about religion",
  other_cyberbullying: "other bullying",
  spam: "the same message many times",
  flood: "many messages in a short time",
};

export const reasonName = (reason) => REASONS[reason] ?? reason;

/** "may be toxic language and bullying"; models flag as an aid, and people decide. */
export function reasonsInWords(reasons = []) {
  const names = (reasons ?? []).map(reasonName);
  if (names.length === 0) return "a person decided so";
  return `may be ${new Intl.ListFormat("en").format(names)}`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A `time` element of an ISO 8601 time: hour and minute, the whole of it when pointed at. */
export function timeOf(iso) {
  const time = new Date(iso);
  return create("time", {
    dateTime: iso,
    title: fullFormat.format(time),
    textContent: time.toDateString() === new Date().toDateString() ? clockFormat.format(time) : fullFormat.format(time),
  });
}

/** "4 min 05 s"; rounded up, never below nought. */
export function remaining(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/* ---- requests ------------------------------------------------------------------------------------------------- */

/** An answer that is not the one asked for; `status` 0: no answer. The message is a sentence. */
export class ServiceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** JSON from the service. Throws a ServiceError; where a key is asked for (401), asks the person and tries again. */
export async function ask(method, path, body) {
  const response = await request(method, path, body);
  if (response.status !== 401) return answerOf(response);
  await askForKey();
  return answerOf(await request(method, path, body));
}

async function request(method, path, body) {
  try {
    return await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new ServiceError("The service does not answer.", 0);
  }
}

async function answerOf(response) {
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  const detail = typeof answer?.detail === "string" ? answer.detail : `The service answers ${response.status}.`;
  throw new ServiceError(detail, response.status);
}

let keyAsked = null;

/** Shows the form for the API key, with what was wrong with the last, until the service takes one; one form at a time. */
export function askForKey(problem = "") {
  keyAsked ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    const error = byId("key-error");
    const form = byId("key-form");
    error.textContent = problem;
    const submit = async (event) => {
      event.preventDefault();
      const response = await request("POST", "/v1/session", { key: form.elements.key.value }).catch(() => null);
      if (!response?.ok) {
        error.textContent = response ? "This key is not known." : "The service does not answer. Try again.";
        form.elements.key.select();
        return;
      }
      form.removeEventListener("submit", submit);
      form.reset();
      error.textContent = "";
      dialog.close();
      keyAsked = null;
      resolve();
    };
    form.addEventListener("submit", submit);
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => keyAsked && dialog.showModal(); // a second Escape closes it all the same
    dialog.showModal();
  });
  return keyAsked;
}

/* ---- connection ----------------------------------------------------------------------------------------------- */

/** A WebSocket with JSON messages that is opened again, after 0.5 s, 1 s, 2 s … 15 s, until `close`. */
export class Connection {
  #path;
  #on;
  #forModerators;
  #socket = null;
  #failures = 0;
  #timer = null;

  /**
   * @param {string} path
   * @param {{open: () => void, message: (object) => void, state: (name: string, retryAt: number|null) => void}} on
   *   state: "connecting", "open", "waiting" (until retryAt, ms) or "closed"
   * @param {boolean} forModerators  whether it is refused to others
   */
  constructor(path, on, forModerators = false) {
    this.#path = path;
    this.#on = on;
    this.#forModerators = forModerators;
    const again = () => document.visibilityState === "visible" && this.retry();
    addEventListener("online", again);
    document.addEventListener("visibilitychange", again);
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    this.close();
    this.#on.state("connecting", null);
    const address = new URL(this.#path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    let opened = false;
    this.#socket = socket;
    socket.addEventListener("open", () => {
      if (this.#socket !== socket) return;
      opened = true;
      this.#on.state("open", null);
      this.#on.open();
    });
    socket.addEventListener("message", ({ data }) => {
      if (this.#socket !== socket) return;
      this.#failures = 0;
      this.#on.message(JSON.parse(data));
    });
    socket.addEventListener("close", () => this.#socket === socket && this.#lost(opened));
  }

  async #lost(opened) {
    const lost = this.#socket;
    if (!opened) {
      const missing = await this.#missingKey();
      if (this.#socket !== lost) return; // closed or opened anew meanwhile
      if (missing !== null) {
        await askForKey(missing);
        if (this.#socket === lost) this.open();
        return;
      }
    }
    this.#socket = null;
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.#failures++) * (0.8 + 0.4 * Math.random());
    this.#timer = setTimeout(() => this.open(), wait);
    this.#on.state("waiting", Date.now() + wait);
  }

  /** What is wrong with this page's key, as a sentence ("" where there is none); null: nothing is. */
  async #missingKey() {
    const response = await request("GET", "/v1/session").catch(() => null);
    if (response?.status === 401) return "";
    const session = response?.ok ? await response.json().catch(() => null) : null;
    return session && this.#forModerators && !session.is_moderator ? "This key is not a moderator's." : null;
  }

  /** Does not wait any longer, where it waits. */
  retry() {
    if (this.#timer !== null) this.open();
  }

  /** @returns {boolean} whether it was handed to an open connection */
  send(message) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}

/** Says the state of a connection in an element, with a button to try now. Call it once a second while it waits. */
export function showConnection(element, { name, retryAt }, connection) {
  const words = {
    connecting: "Connecting…",
    open: "Connected",
    waiting: `Connection lost. Trying again in ${remaining((retryAt ?? 0) - Date.now())}`,
    closed: "Not connected",
  };
  element.dataset.state = name;
  const [said, button] = element.children;
  if (said.textContent !== words[name]) said.textContent = words[name];
  button.hidden = name !== "waiting";
  button.onclick = () => connection.retry();
}
