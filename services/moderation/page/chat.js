/** The chat page: a room's messages as they come, and what was decided about each.
 *
 * A message is shown once, by its id, however often it is told of. What was written and is not acknowledged waits in
 * the outbox, and goes out again, with the same id, on each new connection.
 */

import { Connection, byId, create, icon, reasonsInWords, remaining, showConnection, timeOf } from "/static/common.js";

const MOST_SHOWN = 500;
const ACKNOWLEDGED_WITHIN_MS = 10_000;
const TRY_AGAIN_MS = 2000;
const ROOMS_KEPT = 8;
const OUTBOX = "crowdpulse.outbox";

const log = byId("messages");
const composer = byId("composer");
const text = byId("text");

/** By message_id: {message, isOpen, element, parts}; a message of one's own that is not acknowledged has no server_time. */
const shown = new Map();
/** By message_id: {message, attempts, sentAt, retryAt}: what is not acknowledged. Times in ms, null: not sent. */
const outbox = new Map();

let me = null; // {room, user_name}
let joined = false;
let mutedUntil = null; // ms
let strikes = 0;
let clockAhead = 0; // ms that the service's clock is ahead of this one
let connectionState = { name: "closed", retryAt: null };

const connection = new Connection("/ws", {
  open: () => connection.send({ type: "join", ...me }),
  message: receive,
  state: (name, retryAt) => {
    connectionState = { name, retryAt };
    if (name !== "open") joined = false;
    showConnection(byId("connection"), connectionState, connection);
    for (const { message } of outbox.values()) show(message);
  },
});

/* ---- joining -------------------------------------------------------------------------------------------------- */

const roomsVisited = () => JSON.parse(localStorage.getItem("crowdpulse.rooms") ?? "[]");

function showEntrance(error = "") {
  connection.close();
  joined = false;
  const form = byId("join-form").elements;
  form.room.value = me?.room ?? new URLSearchParams(location.search).get("room") ?? roomsVisited()[0] ?? "lobby";
  form.user_name.value = localStorage.getItem("crowdpulse.user_name") ?? "";
  byId("rooms").replaceChildren(...roomsVisited().map((value) => create("option", { value })));
  byId("join-error").textContent = error;
  byId("entrance").hidden = false;
  byId("room").hidden = byId("connection").hidden = byId("leave").hidden = true;
  byId("room-title").textContent = document.title = "Chat";
  (form.room.value ? form.user_name : form.room).focus();
}

function enter(roomGiven, nameGiven) {
  const [room, userName] = [roomGiven, nameGiven].map((given) => given.normalize("NFC").trim()); // as the service does
  me = { room, user_name: userName };
  localStorage.setItem("crowdpulse.user_name", userName);
  const rooms = [room, ...roomsVisited().filter((other) => other !== room)].slice(0, ROOMS_KEPT);
  localStorage.setItem("crowdpulse.rooms", JSON.stringify(rooms));
  history.replaceState(null, "", `?${new URLSearchParams({ room })}`);
  byId("entrance").hidden = true;
  byId("room").hidden = byId("connection").hidden = byId("leave").hidden = false;
  byId("room-title").textContent = room;
  document.title = `${room} · Crowdpulse`;
  shown.clear();
  log.replaceChildren();
  setMute(null);
  byId("warning").hidden = true;
  byId("not-sent").textContent = "";
  readOutbox();
  connection.open();
  text.focus();
}

byId("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const { room, user_name: userName } = event.target.elements;
  if (room.value.trim() && userName.value.trim()) enter(room.value, userName.value);
  else byId("join-error").textContent = "Give a room and a name.";
});
byId("leave").addEventListener("click", () => showEntrance());

/* ---- outbox --------------------------------------------------------------------------------------------------- */

const isMine = ({ room, user_name: userName }) => room === me.room && userName === me.user_name;

function kept() {
  return JSON.parse(sessionStorage.getItem(OUTBOX) ?? "[]");
}

function readOutbox() {
  outbox.clear();
  for (const message of kept().filter(isMine)) {
    outbox.set(message.message_id, { message, attempts: 1, sentAt: null, retryAt: null });
    show(message);
  }
}

function keepOutbox() {
  const others = kept().filter((message) => !isMine(message));
  sessionStorage.setItem(OUTBOX, JSON.stringify([...others, ...[...outbox.values()].map(({ message }) => message)]));
}

function send(entry) {
  const { message_id, text: written, client_time } = entry.message;
  entry.retryAt = null;
  if (joined && connection.send({ type: "send", message_id, text: written, client_time })) {
    entry.sentAt = Date.now();
    entry.attempts += 1;
  }
  show(entry.message);
}

function acknowledge(messageId) {
  if (outbox.delete(messageId)) keepOutbox();
}

/** A message that the service will not take: its text goes back to where it was written. */
function takeBack(messageId, why) {
  const entry = outbox.get(messageId);
  if (!entry) return;
  acknowledge(messageId);
  shown.get(messageId)?.element.remove();
  shown.delete(messageId);
  text.value = [entry.message.text, text.value].filter(Boolean).join("\n").slice(0, text.maxLength);
  grow();
  byId("not-sent").textContent = `Not sent: ${why}`;
}

/* ---- what the service says ------------------------------------------------------------------------------------ */

function receive(event) {
  if (event.type === "joined") return onJoined(event);
  if (event.type === "message" || event.type === "decision") return update(event.message);
  if (event.type === "you") return onYou(event);
  if (event.type === "error") return onError(event);
  return undefined;
}

function onJoined({ messages, muted_until: until, strikes: points }) {
  joined = true;
  strikes = points ?? 0;
  setMute(until);
  // Whoever was away for long has a gap before what is told now: what was shown before it goes.
  const known = [...shown.values()].some(({ message }) => message.server_time);
  if (known && messages.length > 0 && !messages.some(({ message_id: id }) => shown.has(id))) {
    for (const [id, { element }] of shown) {
      if (outbox.has(id)) continue;
      element.remove();
      shown.delete(id);
    }
  }
  for (const message of messages) update(message);
  for (const entry of outbox.values()) send(entry);
  toNewest();
}

function update(message) {
  if (message.room !== me.room) return;
  const before = shown.get(message.message_id);
  if (outbox.get(message.message_id)?.attempts === 1) clockAhead = Date.parse(message.server_time) - Date.now();
  acknowledge(message.message_id);
  // A repeat from before the decision does not take it away.
  if (message.state === "checking" && before && before.message.state !== "checking") return;
  show(message);
  if (message.user_name !== me.user_name || before?.message.state === message.state) return;
  if (before && ["flagged", "held"].includes(message.state)) announce(`Your message was ${message.state}.`);
}

function onYou({ action, muted_until: until, strikes: points }) {
  strikes = points ?? strikes;
  if (action === "warn") {
    const said = `Warning: several of your messages were flagged (${points1(strikes)}). After more of them you are muted.`;
    byId("warning").firstElementChild.textContent = said;
    byId("warning").hidden = false;
    announce(said);
    return;
  }
  setMute(action === "mute" ? until : null);
}

const points1 = (number) => `${Number(number).toLocaleString("en", { maximumFractionDigits: 1 })} strikes`;

function onError({ code, detail, message_id: messageId, retry_after: retryAfter, muted_until: until }) {
  const entry = outbox.get(messageId);
  const passes = code === "rate_limited" || code === "unavailable";
  const waitMs = retryAfter ? retryAfter * 1000 : TRY_AGAIN_MS;
  if (code === "muted") setMute(until);
  if (code === "not_joined") connection.open();
  else if (entry && passes) {
    entry.retryAt = Date.now() + waitMs;
    entry.why = detail;
    show(entry.message);
  } else if (entry) takeBack(messageId, detail);
  else if (!joined && passes) setTimeout(() => !joined && me && connection.isOpen && connection.open(), waitMs);
  else if (!joined) showEntrance(detail);
  else byId("not-sent").textContent = detail;
}

byId("warning").lastElementChild.addEventListener("click", () => {
  byId("warning").hidden = true;
  text.focus();
});

function announce(said) {
  byId("announcement").textContent = said;
}

/* ---- mute ----------------------------------------------------------------------------------------------------- */

const now = () => Date.now() + clockAhead;

function setMute(until) {
  const wasMuted = mutedUntil !== null;
  mutedUntil = until ? Date.parse(until) : null;
  if (mutedUntil !== null && mutedUntil <= now()) mutedUntil = null;
  if (mutedUntil !== null && !wasMuted) announce(`You are muted for ${remaining(mutedUntil - now())}.`);
  if (mutedUntil === null && wasMuted) announce("You can write again.");
  if (mutedUntil !== null) byId("warning").hidden = true;
  showMute();
}

function showMute() {
  const isMuted = mutedUntil !== null;
  const writes = byId("writing").contains(document.activeElement);
  const returns = byId("writing").disabled && document.activeElement === log;
  byId("mute").hidden = !isMuted;
  byId("writing").disabled = isMuted;
  // What is disabled loses the focus, and with it the place of who uses the keyboard.
  if (isMuted && writes) log.focus();
  else if (!isMuted && returns) text.focus();
  text.placeholder = isMuted ? "You are muted" : "Write a message";
  if (isMuted)
    byId("mute").textContent =
      `You are muted: too many of your messages were flagged, or a moderator decided so. ` +
      `You can write again in ${remaining(mutedUntil - now())}.`;
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

/** Shows a message as it is now, in its place by the service's time; what is not acknowledged stands last. */
function show(message) {
  const atEnd = isAtEnd();
  let entry = shown.get(message.message_id);
  const place = entry?.message.server_time;
  if (!entry) {
    entry = build(message);
    shown.set(message.message_id, entry);
  }
  // Where the text of one's own message is kept back, this page still has it; that of another's goes.
  const isKeptBack = message.text === null;
  const own = message.user_name === me.user_name ? entry.message.text : null;
  entry.message = { ...message, text: message.text ?? own, isKeptBack };
  render(entry);
  if (!entry.element.isConnected || place !== message.server_time) insert(entry);
  while (log.children.length > MOST_SHOWN) {
    shown.delete(log.firstElementChild.dataset.messageId);
    log.firstElementChild.remove();
  }
  if (atEnd || (outbox.has(message.message_id) && !place)) toNewest();
  else if (!place) byId("to-newest").hidden = false;
}

function insert(entry) {
  const time = entry.message.server_time ?? "~"; // after every time
  let after = log.lastElementChild;
  while (after && (after === entry.element || (shown.get(after.dataset.messageId).message.server_time ?? "~") > time)) {
    after = after.previousElementSibling;
  }
  const before = after ? after.nextElementSibling : log.firstElementChild;
  if (before !== entry.element) log.insertBefore(entry.element, before);
}

function build(message) {
  const isOwn = message.user_name === me.user_name;
  const id = `text-${message.message_id}`;
  const parts = {
    time: create("span", { className: "time" }),
    text: create("p", { id, className: "text", dir: "auto" }),
    state: create("span", { className: "state" }),
    reveal: create("button", { type: "button", className: "reveal" }),
  };
  parts.reveal.setAttribute("aria-controls", id);
  const author = create("bdi", { className: "author", textContent: message.user_name });
  const element = create(
    "li",
    { className: "message", data: { messageId: message.message_id, own: String(isOwn) } },
    create("p", { className: "byline" }, author, isOwn ? " (you) " : " ", parts.time),
    parts.text,
    create("p", { className: "below" }, parts.state, parts.reveal),
  );
  const entry = { message, isOpen: false, element, parts };
  parts.reveal.addEventListener("click", () => {
    entry.isOpen = !entry.isOpen;
    render(entry);
  });
  return entry;
}

function render(entry) {
  const { message, element, parts } = entry;
  const [name, words] = stateInWords(message);
  const isBlurred = message.state === "flagged" && !entry.isOpen;
  element.dataset.state = name;
  element.dataset.blurred = String(isBlurred);
  parts.time.replaceChildren(...(message.server_time ? [timeOf(message.server_time)] : []));
  parts.text.hidden = message.text === null;
  if (parts.text.textContent !== message.text) parts.text.textContent = message.text ?? "";
  parts.text.ariaHidden = isBlurred ? "true" : null;
  if (parts.state.textContent !== words || parts.state.dataset.icon !== name) {
    parts.state.dataset.icon = name;
    parts.state.replaceChildren(icon(name), words);
  }
  const hadFocus = document.activeElement === parts.reveal;
  parts.reveal.hidden = message.state !== "flagged";
  parts.reveal.textContent = isBlurred ? "Show message" : "Hide message";
  parts.reveal.ariaExpanded = String(!isBlurred);
  if (hadFocus && parts.reveal.hidden) log.focus();
}

/** The icon of a message's state, and the state in words. */
function stateInWords(message) {
  const isOwn = message.user_name === me.user_name;
  const waits = outbox.get(message.message_id);
  if (waits?.retryAt) return ["waiting", `not sent yet, trying again: ${waits.why}`];
  if (waits && waits.sentAt === null) return ["waiting", "waits for the connection"];
  if (waits && !joined) return ["waiting", "waits for the connection, then goes out again"];
  switch (message.state) {
    case "clean":
      return ["clean", message.verdict === "overturn" ? "checked, cleared by a moderator" : "checked"];
    case "flagged": {
      const by = message.verdict ? " A moderator has confirmed it." : "";
      return ["flagged", `Flagged: ${reasonsInWords(message.reasons)}.${by}`];
    }
    case "held":
      if (!isOwn) return ["held", message.verdict ? "Taken away by a moderator." : "Held for review."];
      if (message.verdict) return ["held", `Taken away by a moderator, only you see it: ${reasonsInWords(message.reasons)}.`];
      return ["held", `Held for review, only you see it: ${reasonsInWords(message.reasons)}.`];
    case "unscored":
      if (message.isKeptBack) return ["unscored", "Not checked: it is held until the check is back."];
      return ["unscored", "Not checked: the check does not answer."];
    default:
      return ["checking", "being checked"];
  }
}

/* ---- reading and writing -------------------------------------------------------------------------------------- */

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;

function toNewest() {
  log.scrollTop = log.scrollHeight;
  byId("to-newest").hidden = true;
}

byId("to-newest").addEventListener("click", () => {
  toNewest();
  log.focus();
});
log.addEventListener("scroll", () => isAtEnd() && (byId("to-newest").hidden = true), { passive: true });
new ResizeObserver(() => byId("to-newest").hidden && toNewest()).observe(log);

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const written = text.value.trim();
  if (!written || mutedUntil !== null) return;
  const message = {
    message_id: newId(),
    ...me,
    text: written,
    client_time: new Date().toISOString(),
    state: "checking",
  };
  const entry = { message, attempts: 0, sentAt: null, retryAt: null };
  outbox.set(message.message_id, entry);
  keepOutbox();
  text.value = "";
  byId("not-sent").textContent = "";
  grow();
  send(entry);
  text.focus();
});

/** A UUID of version 4; crypto.randomUUID exists with https or on localhost only. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
text.addEventListener("input", grow);

function grow() {
  text.rows = Math.min(6, text.value.split("\n").length);
  const left = text.maxLength - text.value.length;
  byId("characters").textContent = left <= 200 ? `${left} characters left.` : "";
}

/** Once a second: what remains of a mute and of a wait, and what was not acknowledged in time. */
function tick() {
  if (mutedUntil !== null && mutedUntil <= now()) setMute(null);
  else showMute();
  if (connectionState.name === "waiting") showConnection(byId("connection"), connectionState, connection);
  const entries = [...outbox.values()];
  for (const entry of entries) if (entry.retryAt !== null && entry.retryAt <= Date.now()) send(entry);
  const isLost = ({ sentAt, retryAt }) => retryAt === null && sentAt && Date.now() - sentAt > ACKNOWLEDGED_WITHIN_MS;
  if (joined && entries.some(isLost)) connection.open();
}
setInterval(tick, 1000);

const wanted = new URLSearchParams(location.search).get("room");
const nameKept = localStorage.getItem("crowdpulse.user_name");
if (wanted && nameKept) enter(wanted, nameKept);
else showEntrance();
