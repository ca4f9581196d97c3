// The page: state from GET /v1/calls, everything after it from the feed, figures from GET /v1/stats.

import { Calls, linesOf, tagsOf, talkOf } from "./calls.js";

const key = new URLSearchParams(location.search).get("api_key");
const calls = new Calls();
const cards = new Map();
const dirty = new Set();
let selected = null;
let chosen = false; // the person has chosen a call: do not jump to another
let clockSkew = 0;
let drawing = false;

const $ = (id) => document.getElementById(id);

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(attribute, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// ---- words ----------------------------------------------------------------------------------------------------------

const BAD = new Set(["churn_risk", "objection", "competitor"]);
const GOOD = new Set(["buying_signal", "next_step", "commitment"]);
const tone = (kind) => (BAD.has(kind) ? "bad" : GOOD.has(kind) ? "good" : null);
const words = (name) => (name ?? "").replaceAll("_", " ").replaceAll("-", " ");
const clock = (ms) => {
  const s = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
};
const signed = (value) => (value > 0.005 ? "+" : value < -0.005 ? "−" : "") + Math.abs(value).toFixed(2);
const side = (value) => (value > 0.15 ? "good" : value < -0.15 ? "bad" : "");
const nameOf = (call) => call.customer || call.call_id;
const speaker = (call, track) => (track === "agent" ? call.agent || "agent" : track === "customer" ? call.customer || "customer" : "caller");
const seconds = (ms) => `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;

function durationOf(call) {
  if (call.summary) return call.summary.duration_ms;
  if (call.status === "ended") return call.ended_at_ms && call.started_at_ms ? call.ended_at_ms - call.started_at_ms : call.duration_ms ?? 0;
  return call.started_at_ms ? Date.now() + clockSkew - call.started_at_ms : 0;
}

function about(call) {
  return [call.agent && `with ${call.agent}`, call.queue].filter(Boolean).join(", ") || call.protocol || "";
}

// ---- pictures -------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function sparkline(call) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 -1.1 100 2.2");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "mood over the call");
  const zero = document.createElementNS(SVG, "line");
  for (const [name, value] of Object.entries({ x1: 0, x2: 100, y1: 0, y2: 0 })) zero.setAttribute(name, value);
  svg.append(zero);
  const lines = linesOf(call).filter((line) => typeof line.polarity === "number");
  const end = Math.max(1, ...lines.map((line) => line.end_ms));
  for (const track of new Set(lines.map((line) => line.track))) {
    const points = lines.filter((line) => line.track === track).map((line) => [(line.end_ms / end) * 100, -line.polarity]);
    if (points.length === 1) points.unshift([0, 0]);
    const path = document.createElementNS(SVG, "polyline");
    path.setAttribute("class", track);
    path.setAttribute("points", points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(3)}`).join(" "));
    svg.append(path);
  }
  return svg;
}

function talkBar(call) {
  const talk = talkOf(call);
  const tracks = ["customer", "mono", "agent"].filter((track) => talk[track] !== undefined);
  const bar = el("div", { class: "talk" });
  const legend = el("div", { class: "legend" });
  for (const track of tracks) {
    const part = el("i", { class: track });
    part.style.width = `${talk[track] * 100}%`;
    bar.append(part);
    legend.append(el("span", { class: `ink ${track}` }, `${speaker(call, track)} ${Math.round(talk[track] * 100)} %`));
  }
  return el("div", {}, el("h4", {}, "talk"), bar, legend);
}

function moods(call) {
  const box = el("div", { class: "moods" });
  for (const track of ["customer", "mono", "agent"]) {
    const mood = call.mood[track];
    if (!mood || mood.polarity === null || mood.polarity === undefined) continue;
    const trend = mood.trend > 0.05 ? "rising" : mood.trend < -0.05 ? "falling" : "";
    box.append(el("div", {},
      el("span", { class: `ink ${track}` }, speaker(call, track)),
      el("b", { class: side(mood.polarity) }, signed(mood.polarity)),
      el("span", { class: "facts" }, [mood.emotion, trend].filter(Boolean).join(", "))));
  }
  return el("div", {}, el("h4", {}, "mood"), sparkline(call), box);
}

function tag(found) {
  const entity = found.kind === "entity";
  const kind = words(entity ? found.label || found.kind : found.kind);
  const what = words(entity ? found.value || found.text : found.label || found.value);
  const node = el("span", { class: "tag", "data-tone": tone(found.kind), title: found.text }, el("b", {}, kind));
  if (what && what !== kind) node.append(` ${what}`);
  return node;
}

// ---- the selected call ----------------------------------------------------------------------------------------------

function drawHead(call) {
  const duration = el("span", { class: "time", id: "selected-time" }, clock(durationOf(call)));
  const state = call.status === "ended" ? `ended${call.reason && call.reason !== "completed" ? `: ${call.reason}` : ""}`
    : call.status === "disconnected" ? "connection lost" : "live";
  const parts = [
    el("div", { class: "title" }, el("h3", {}, nameOf(call)), el("span", { class: "about" }, about(call)),
      el("span", { class: `state ${call.status}` }, state), duration),
    el("div", { class: "measures" }, talkBar(call), moods(call)),
  ];
  const figures = call.summary ?? call.metrics;
  if (figures) {
    const most = Math.max(0, ...Object.values(figures.longest_monologue_ms ?? {}));
    const cuts = Object.values(figures.interruptions ?? {}).reduce((sum, count) => sum + count, 0);
    parts.push(el("p", { class: "facts" }, [
      `silence ${seconds(figures.silence_ms)}`, `overlap ${seconds(figures.overlap_ms)}`, `interruptions ${cuts}`, `longest monologue ${seconds(most)}`,
    ].join(" · ")));
  }
  const counts = new Map();
  for (const found of call.found.values()) if (found.kind !== "entity") counts.set(found.kind, (counts.get(found.kind) ?? 0) + 1);
  if (counts.size) {
    const tags = el("div", { class: "tags" });
    for (const [kind, count] of counts) tags.append(el("span", { class: "tag", "data-tone": tone(kind) }, el("b", {}, words(kind)), count > 1 ? ` ${count}` : ""));
    parts.push(tags);
  }
  if (call.summary) {
    parts.push(el("div", { class: "summary", id: "summary" }, call.summary.outcome ? el("b", {}, words(call.summary.outcome)) : null, call.summary.text));
  }
  $("call-head").replaceChildren(...parts);
}

// The words of a line, with the evidence of its insights marked.
function marked(text, tags) {
  const spans = tags.map((found) => [text.indexOf(found.text), found.text?.length ?? 0]).filter(([at, length]) => at >= 0 && length && length < text.length);
  spans.sort((a, b) => a[0] - b[0]);
  const nodes = [];
  let done = 0;
  for (const [at, length] of spans) {
    if (at < done) continue;
    nodes.push(text.slice(done, at), el("mark", {}, text.slice(at, at + length)));
    done = at + length;
  }
  return [...nodes, text.slice(done)];
}

function bubble(call, line) {
  const tags = tagsOf(call, line.utterance_id);
  const felt = typeof line.polarity === "number"
    ? el("span", { class: side(line.polarity) }, [line.emotion !== "neutral" && line.emotion, signed(line.polarity)].filter(Boolean).join(" ")) : null;
  return el("div", { class: `bubble ${line.track}${line.final === false ? " interim" : ""}`, "data-id": line.utterance_id },
    el("div", { class: "meta" }, el("b", {}, speaker(call, line.track)), el("span", {}, clock(line.start_ms)), felt),
    el("div", { class: "text" }, ...marked(line.text, tags)),
    tags.length ? el("div", { class: "tags" }, ...tags.map(tag)) : null);
}

const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 60;

function drawTranscript(call, follows) {
  const box = $("transcript");
  const known = new Map([...box.children].map((node) => [node.dataset.id, node]));
  const nodes = linesOf(call).map((line) => {
    const version = JSON.stringify([line, tagsOf(call, line.utterance_id).map((found) => found.insight_id), call.agent, call.customer]);
    const old = known.get(line.utterance_id);
    if (old?.version === version && box.dataset.call === call.call_id) return old;
    const node = bubble(call, line);
    node.version = version;
    return node;
  });
  if (!nodes.length) nodes.push(el("p", { class: "nothing" }, call.status === "ended" ? "Nothing was said." : "Listening. The first words appear when a sentence ends."));
  if (nodes.length !== box.children.length || nodes.some((node, index) => node !== box.children[index])) box.replaceChildren(...nodes);
  if (follows || box.dataset.call !== call.call_id) box.scrollTop = box.scrollHeight;
  box.dataset.call = call.call_id;
}

// ---- lists ----------------------------------------------------------------------------------------------------------

function drawCard(call) {
  let card = cards.get(call.call_id);
  if (!card) {
    card = el("button", { class: "card", type: "button", "data-call": call.call_id });
    card.addEventListener("click", () => choose(call.call_id));
    card.item = el("li", {}, card);
    cards.set(call.call_id, card);
  }
  const last = linesOf(call).at(-1);
  const alerts = call.routing.size;
  const urgent = [...call.routing.values()].some((decision) => decision.priority <= 1);
  card.classList.toggle("lost", call.status === "disconnected");
  card.setAttribute("aria-current", String(call.call_id === selected));
  card.time = el("span", { class: "time" }, clock(durationOf(call)));
  card.replaceChildren(
    el("div", { class: "row" }, el("span", { class: "who" }, nameOf(call)), card.time),
    el("div", { class: "about" }, about(call)),
    el("div", { class: "meters" }, sparkline(call), alerts ? el("span", { class: "alerting", "data-urgent": urgent }, `${alerts} alert${alerts > 1 ? "s" : ""}`) : null),
    ...(call.summary ? [el("div", { class: "last" }, call.summary.text)] : last ? [el("div", { class: "last" }, last.text)] : []));
  return card;
}

function fill(list, items) {
  if (items.length !== list.children.length || items.some((item, index) => item !== list.children[index])) list.replaceChildren(...items);
}

function drawLists() {
  const live = calls.live();
  const ended = calls.ended();
  for (const call of [...live, ...ended]) if (dirty.has(call.call_id) || !cards.has(call.call_id)) drawCard(call);
  for (const callId of cards.keys()) if (!calls.byId.has(callId)) cards.delete(callId);
  fill($("live"), live.map((call) => cards.get(call.call_id).item));
  fill($("ended"), ended.map((call) => cards.get(call.call_id).item));
  $("live-count").textContent = live.length;
  $("ended-count").textContent = ended.length;
  $("no-live").hidden = live.length > 0;
  $("ended-title").hidden = ended.length === 0;
  if (!calls.byId.has(selected) || (!chosen && calls.byId.get(selected).status === "ended" && live.length)) select((live[0] ?? ended[0])?.call_id ?? null);
  $("empty").hidden = selected !== null;
  $("detail").hidden = selected === null;
}

function drawAlerts() {
  const alerts = [...calls.alerts.values()].sort((a, b) => b.at_ms - a.at_ms).slice(0, 60);
  $("alert-count").textContent = calls.alerts.size;
  $("no-alerts").hidden = alerts.length > 0;
  document.body.classList.toggle("no-alerts", alerts.length === 0);
  $("alerts").replaceChildren(...alerts.map((alert) => {
    const call = calls.byId.get(alert.call_id);
    const button = el("button", { class: "alert", type: "button", "data-urgent": alert.priority <= 1 },
      el("div", { class: "row" }, el("b", {}, words(alert.rule)),
        el("span", { class: "time" }, new Date(alert.at_ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }))),
      el("div", {}, alert.reason),
      el("div", { class: "about" }, [words(alert.action) + (alert.target ? ` → ${words(alert.target)}` : ""), call && nameOf(call)].filter(Boolean).join(" · ")));
    button.addEventListener("click", () => { if (call) choose(alert.call_id); });
    return el("li", {}, button);
  }));
}

function draw() {
  drawing = false;
  drawLists();
  if (dirty.has(selected)) {
    const call = calls.byId.get(selected);
    const follows = atEnd($("transcript")); // before the head grows at its cost
    drawHead(call);
    drawTranscript(call, follows);
  }
  drawAlerts();
  dirty.clear();
}

function touch(callId) {
  dirty.add(callId);
  if (!drawing) {
    drawing = true;
    setTimeout(draw, 120);
  }
}

function select(callId) {
  const before = selected;
  selected = callId;
  for (const changed of [before, callId]) if (changed !== null) touch(changed);
  if (callId !== null) fetchCall(callId);
}

function choose(callId) {
  chosen = true;
  select(callId);
  if (matchMedia("(max-width: 720px)").matches) $("detail").scrollIntoView({ block: "start" });
}

function tick() {
  for (const call of calls.live()) {
    const card = cards.get(call.call_id);
    if (card?.time) card.time.textContent = clock(durationOf(call));
    if (call.call_id === selected && $("selected-time")) $("selected-time").textContent = clock(durationOf(call));
  }
}

// ---- the gateway ----------------------------------------------------------------------------------------------------

async function get(path) {
  const response = await fetch(path, { headers: key ? { Authorization: `Bearer ${key}` } : {} });
  if (response.status === 401) throw new Error("this gateway asks for a key: open the page as /?api_key=KEY");
  if (!response.ok) throw new Error(`${path} answers ${response.status}`);
  return response.json();
}

function say(state, text) {
  $("link").dataset.state = state;
  $("link").textContent = text;
}

async function fetchCall(callId) {
  try {
    calls.load(await get(`/v1/calls/${encodeURIComponent(callId)}`));
    touch(callId);
  } catch { /* it is on the feed only */ }
}

async function fetchCalls() {
  for (const told of (await get("/v1/calls")).calls) touch(calls.load(told).call_id);
  if (selected) fetchCall(selected);
}

// Milliseconds, or seconds where those would be many digits.
function latency(figure, ...names) {
  if (!figure.count) return ["–"];
  const long = names.some((name) => figure[name] >= 10_000);
  const values = names.map((name) => (long ? (figure[name] / 1000).toFixed(1) : Math.round(figure[name])));
  return [`${values.join(" / ")} `, el("small", {}, long ? "s" : "ms")];
}

async function fetchStats() {
  try {
    const stats = await get("/v1/stats");
    clockSkew = stats.now_ms - Date.now();
    $("figure-calls").textContent = stats.active_calls;
    $("figure-utterances").textContent = stats.utterances_per_minute;
    $("figure-end-to-end").replaceChildren(...latency(stats.end_to_end_ms, "p50", "p95"));
    $("figure-stt").replaceChildren(...latency(stats.stt_ms, "p50"));
    $("figure-ingest").replaceChildren(...latency(stats.ingest_ms, "p50", "p99"));
    $("figure-frames").textContent = Math.round(stats.frames_per_second);
    if (connected) say(stats.ready ? "live" : "trouble", stats.ready ? "live" : stats.not_ready);
  } catch (error) {
    say("trouble", error.message.includes("key") ? error.message : "the gateway does not answer");
  }
}

let connected = false;

function connect() {
  const address = new URL("/v1/feed", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (key) address.searchParams.set("api_key", key);
  const socket = new WebSocket(address);
  socket.onmessage = (message) => {
    const record = JSON.parse(message.data);
    if (record.type === "error") return say("trouble", record.message);
    // After Hello nothing is missed any more, so what was before it is fetched then; again where the feed lost something.
    if (record.type === "Hello" || record.type === "Dropped") {
      connected = true;
      fetchCalls().then(fetchStats, (error) => say("trouble", error.message));
      return undefined;
    }
    const call = calls.apply(record);
    if (call) touch(call.call_id);
    return undefined;
  };
  socket.onclose = (event) => {
    connected = false;
    if (event.code === 4401) return say("trouble", "this gateway asks for a key: open the page as /?api_key=KEY");
    say("trouble", "connection lost, trying again");
    setTimeout(connect, 1500);
    return undefined;
  };
}

const secure = location.protocol === "https:";
$("how-call").textContent = `voicestream call my.wav --url ${secure ? "wss" : "ws"}://${location.host}`;
$("how-twilio").textContent = `wss://${secure ? location.host : "your-host"}/v1/twilio`;
draw();
connect();
setInterval(tick, 1000);
setInterval(fetchStats, 2000);
setInterval(() => { if (connected && calls.byId.get(selected)?.status !== "ended" && selected !== null) fetchCall(selected); }, 5000);
fetchStats();
