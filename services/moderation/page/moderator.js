/** The moderator's page: what models and rules flagged, why, and what people decide about it. */

import { Connection, ask, byId, create, icon, reasonName, remaining, showConnection, timeOf } from "/static/common.js";

const LIMIT = 200;
const CLASSES = ["toxic", "removed", "bullying"];
const EMPTY = {
  flagged: "No flagged message waits for a decision.",
  held: "No held message waits for a decision.",
  sampled: "No allowed message waits to be looked at.",
  unscored: "Every message was checked.",
};

const list = byId("items");
const tabs = [...byId("tabs").children];

let state = "flagged";
let room = "";
let items = new Map(); // by message_id: {message, element}
let person = null; // user_name
let connectionState = { name: "closed", retryAt: null };
let reading = null; // the newest request of the queue

const events = {
  open: () => readQueue(),
  message: ({ type, message, user_name: userName }) => {
    if (type === "item") onItem(message);
    if (type === "user" && userName === person) showPersonSoon();
  },
  state: (name, retryAt) => {
    connectionState = { name, retryAt };
    showConnection(byId("connection"), connectionState, connection);
  },
};
const connection = new Connection("/ws/moderator", events, true);

/* ---- queue ---------------------------------------------------------------------------------------------------- */

async function readQueue() {
  const own = {};
  reading = own;
  const query = new URLSearchParams({ state, limit: LIMIT, ...(room && { room }) });
  try {
    const { messages, counts, rooms } = await ask("GET", `/v1/queue?${query}`);
    if (reading !== own) return;
    items = new Map();
    list.replaceChildren();
    for (const message of messages) add(message, "append");
    showCounts(counts);
    showRooms(rooms);
    say("");
  } catch (error) {
    if (reading === own) say(`The queue cannot be read: ${error.message}`);
  }
  showEmpty();
}

function add(message, where) {
  const entry = { message, element: itemOf(message) };
  items.set(message.message_id, entry);
  list[where](entry.element);
}

/** A message that is new in the queue, or has changed; what is in other tabs only changes the counts. */
function onItem(message) {
  const entry = items.get(message.message_id);
  const belongs = message.queue === state && (!room || message.room === room);
  if (entry && !belongs) remove(entry);
  else if (entry) {
    const hadFocus = entry.element === document.activeElement;
    const element = itemOf(message);
    entry.element.replaceWith(element);
    items.set(message.message_id, { message, element });
    if (hadFocus) element.focus();
  } else if (belongs) add(message, "prepend");
  countSoon();
  if (message.user_name === person) showPersonSoon();
  showEmpty();
}

function remove({ message, element }) {
  const next = element.nextElementSibling ?? element.previousElementSibling;
  const hadFocus = element.contains(document.activeElement);
  element.remove();
  items.delete(message.message_id);
  if (hadFocus) (next ?? list).focus();
  showEmpty();
}

/** Runs a function once, a moment after the last of many calls; at the latest a second after the first. */
function soon(run) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      run();
    }, 500);
  };
}

const countSoon = soon(async () => {
  const query = new URLSearchParams({ state, limit: 1, ...(room && { room }) });
  const answer = await ask("GET", `/v1/queue?${query}`).catch(() => null);
  if (!answer) return;
  showCounts(answer.counts);
  showRooms(answer.rooms);
});

function showCounts(counts) {
  for (const tab of tabs) tab.querySelector(".count").textContent = `(${counts[tab.dataset.state] ?? 0})`;
}

function showRooms(rooms) {
  const select = byId("room-filter");
  const names = [...new Set([...rooms, ...(room ? [room] : [])])].sort();
  if (names.join("\n") === [...select.options].slice(1).map(({ value }) => value).join("\n")) return; // prettier-ignore
  select.replaceChildren(
    create("option", { value: "", textContent: "all rooms" }),
    ...names.map((value) => create("option", { value, textContent: value })),
  );
  select.value = room;
}

function showEmpty() {
  byId("empty").hidden = items.size > 0;
  byId("empty").textContent = EMPTY[state];
}

function say(problem) {
  byId("problem").textContent = problem;
}

/* ---- one message ---------------------------------------------------------------------------------------------- */

function itemOf(message) {
  const isFine = message.queue === "sampled" || message.queue === "unscored"; // nothing was found against it
  const upholds = isFine ? "Uphold: it is fine" : "Uphold: not allowed";
  const overturns = isFine ? "Overturn: not allowed" : "Overturn: it is fine";
  const name = create("button", { type: "button", className: "link" }, create("bdi", { textContent: message.user_name }));
  name.addEventListener("click", () => showPerson(message.user_name));
  const actions = create(
    "div",
    { className: "actions" },
    verdictButton(message, "uphold", upholds),
    verdictButton(message, "overturn", overturns),
  );
  const element = create(
    "li",
    { className: "item", tabIndex: -1, data: { messageId: message.message_id, state: message.state } },
    create("p", { className: "byline" }, name, " in ", create("bdi", { textContent: message.room }), " ", timeOf(message.server_time)), // prettier-ignore
    highlighted(message),
    create("p", { className: "below" }, create("span", { className: "state" }, icon(message.state), why(message))),
    factsOf(message),
    actions,
  );
  return element;
}

function verdictButton(message, verdict, label) {
  const button = create("button", { type: "button", textContent: label });
  button.addEventListener("click", () => judge(message, verdict));
  return button;
}

/** The text, with what decided marked. N-grams are of the normalised text: those that do not occur are left out. */
function highlighted({ text, ngrams }) {
  const paragraph = create("p", { className: "text", dir: "auto" });
  let position = 0;
  for (const [start, end] of places(text ?? "", ngrams ?? [])) {
    paragraph.append(text.slice(position, start), create("mark", { textContent: text.slice(start, end) }));
    position = end;
  }
  paragraph.append((text ?? "").slice(position));
  return paragraph;
}

/** Where the n-grams occur in a text, as [start, end), in order; those that touch or overlap are one. */
export function places(text, ngrams) {
  const found = [];
  for (const ngram of ngrams) {
    const words = ngram.trim().split(/\s+/u).filter(Boolean).map((word) => word.replace(/[^\p{L}\p{N}\s]/gu, "\\$&")); // prettier-ignore
    if (words.length === 0) continue;
    for (const match of text.matchAll(new RegExp(words.join("\\s+"), "gi"))) {
      found.push([match.index, match.index + match[0].length]);
    }
  }
  found.sort(([a], [b]) => a - b);
  const merged = [];
  for (const [start, end] of found) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

const STATE_NAMES = { checking: "Being checked", clean: "Allowed", flagged: "Flagged", held: "Held", unscored: "Not scored" };

function why({ state: of, queue, reasons, unscored_reason: unscored }) {
  if (queue === "sampled") return "Allowed; is that right?";
  const causes = of === "unscored" && unscored ? [unscored] : of === "clean" ? [] : (reasons ?? []).map(reasonName);
  return STATE_NAMES[of] + (causes.length ? `: ${new Intl.ListFormat("en").format(causes)}` : "");
}

function factsOf(message) {
  const facts = create("dl", { className: "facts" });
  const tell = (name, value, className = "") =>
    facts.append(create("div", { className }, create("dt", { textContent: name }), create("dd", { textContent: value })));
  const probability = (value) => value.toLocaleString("en", { style: "percent", maximumFractionDigits: 1 });
  for (const each of CLASSES) {
    if (typeof message[each] !== "number") continue;
    tell(each, probability(message[each]), message.reasons?.includes(each) ? "deciding" : "");
  }
  if (message.cyberbullying) tell("kind", message.cyberbullying);
  if (message.ngrams?.length) tell("because of", message.ngrams.map((ngram) => `“${ngram.trim()}”`).join(", "));
  if (message.copies > 1) tell("copies", message.copies);
  if (message.burst > 1) tell("messages in a row", message.burst);
  if (message.language) tell("language", message.language);
  if (typeof message.strikes === "number") tell("strikes after it", message.strikes.toFixed(1));
  if (message.model_version) tell("model", message.model_version);
  if (message.policy_version) tell("policy", message.policy_version);
  if (message.is_late) tell("late", "yes");
  return facts;
}

/** Ids of the messages whose verdict is under way. */
const judging = new Set();

async function judge(message, verdict) {
  if (judging.has(message.message_id)) return;
  judging.add(message.message_id);
  const entry = items.get(message.message_id);
  for (const button of entry?.element.querySelectorAll(".actions button") ?? []) button.disabled = true;
  try {
    await ask("POST", "/v1/verdicts", { message_id: message.message_id, verdict });
    say("");
    byId("announcement").textContent = verdict === "uphold" ? "Upheld." : "Overturned.";
    const shown = items.get(message.message_id);
    if (shown) remove(shown);
    countSoon();
    if (message.user_name === person) showPersonSoon();
  } catch (error) {
    say(`The verdict was not taken: ${error.message}`);
    for (const button of entry?.element.querySelectorAll(".actions button") ?? []) button.disabled = false;
  } finally {
    judging.delete(message.message_id);
  }
}

/* ---- person --------------------------------------------------------------------------------------------------- */

async function showPerson(userName, { focus = true } = {}) {
  person = userName;
  const panel = byId("person");
  let found;
  try {
    found = await ask("GET", `/v1/users/${encodeURIComponent(userName)}`);
  } catch (error) {
    if (person === userName) say(`This person's history cannot be read: ${error.message}`);
    return;
  }
  if (person !== userName) return;
  const { strikes, muted_until: until, messages } = found;
  const isMuted = until && Date.parse(until) > Date.now();
  const hasFocus = panel.contains(document.activeElement);
  const minutes = panel.querySelector("input")?.value ?? "10";
  panel.dataset.user = userName;
  panel.replaceChildren(
    create("h2", {}, create("bdi", { textContent: userName })),
    create("p", { id: "strikes", textContent: `Strikes: ${(strikes ?? 0).toFixed(1)}` }),
    create("p", { id: "muted", textContent: isMuted ? `Muted for ${remaining(Date.parse(until) - Date.now())}.` : "Not muted." }), // prettier-ignore
    muteForm(userName, minutes, isMuted),
    create("h3", { textContent: `Messages (${messages.length})` }),
    create("ol", { className: "history" }, ...messages.map(historyOf)),
  );
  if (focus || (hasFocus && !panel.contains(document.activeElement))) panel.focus();
}

const showPersonSoon = soon(() => person !== null && showPerson(person, { focus: false }));

function muteForm(userName, value, isMuted) {
  const minutes = create("input", { type: "number", min: 1, required: true, value });
  const unmute = create("button", { type: "button", textContent: "Unmute", hidden: !isMuted });
  const mute = create("button", { type: "submit", className: "primary", textContent: isMuted ? "Mute anew" : "Mute" });
  const form = create("form", {}, create("label", {}, "Minutes", minutes), mute, unmute);
  const path = `/v1/users/${encodeURIComponent(userName)}/mute`;
  const change = async (method, body, said) => {
    try {
      await ask(method, path, body);
      say("");
      byId("announcement").textContent = said;
    } catch (error) {
      say(`That was not taken: ${error.message}`);
    }
    showPerson(userName, { focus: false });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    change("POST", { minutes: minutes.valueAsNumber }, `${userName} is muted.`);
  });
  unmute.addEventListener("click", () => change("DELETE", undefined, `${userName} may write again.`));
  return form;
}

function historyOf(message) {
  const verdict = message.verdict ? `, ${message.verdict === "uphold" ? "upheld" : "overturned"}` : "";
  return create(
    "li",
    { data: { state: message.state } },
    create("p", { className: "byline" }, create("bdi", { textContent: message.room }), " ", timeOf(message.server_time)),
    highlighted(message),
    create("p", { className: "below" }, create("span", { className: "state" }, icon(message.state), why(message) + verdict)),
  );
}

/* ---- tabs and keys -------------------------------------------------------------------------------------------- */

function choose(tab) {
  state = tab.dataset.state;
  for (const each of tabs) {
    each.ariaSelected = String(each === tab);
    each.tabIndex = each === tab ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", tab.id);
  items = new Map();
  list.replaceChildren();
  byId("empty").hidden = true;
}

for (const tab of tabs) {
  tab.addEventListener("click", () => {
    choose(tab);
    readQueue();
  });
}
byId("tabs").addEventListener("keydown", ({ key }) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
  if (!step) return;
  const next = tabs.at((tabs.findIndex(({ dataset }) => dataset.state === state) + step) % tabs.length);
  next.focus();
  next.click();
});
byId("room-filter").addEventListener("change", ({ target }) => {
  room = target.value;
  readQueue();
});

// Single letters are keys while the focus is in the list only.
byId("panel").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return; // a key that is held judges one message
  const element = document.activeElement.closest(".item");
  const message = items.get(element?.dataset.messageId)?.message;
  const go = (to) => to && (event.preventDefault(), to.focus());
  const key = event.key.toLowerCase();
  if (key === "j" || key === "arrowdown") go(element ? element.nextElementSibling : list.firstElementChild);
  else if (key === "k" || key === "arrowup") go(element?.previousElementSibling);
  else if (key === "p" && message) showPerson(message.user_name);
  else if (key === "u" && message) judge(message, "uphold");
  else if (key === "o" && message) judge(message, "overturn");
});

setInterval(() => {
  if (connectionState.name === "waiting") showConnection(byId("connection"), connectionState, connection);
}, 1000);

choose(tabs[0]);
connection.open();
