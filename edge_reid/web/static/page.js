"use strict";
// The live page: events from the device into the tiles and the list. Text only ever goes in as text.
const MOST_STREAMS = 4; // browsers open six connections to a host; the rest of the tiles get stills
const SILENT_MS = 6000;
const POINTS = 120;
const QUIET_S = 5;

const byFact = (root, name) => root.querySelector(`[data-fact="${name}"]`);
const tiles = new Map([...document.querySelectorAll(".tile")].map((tile) => [tile.dataset.camera, tile]));
const history = new Map();
const droppedBefore = new Map(); // the count is since the start; its line is of each second
const MAY_NAME = document.getElementById("cameras")?.dataset.names === "yes";

function element(kind, text, className) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

function number(value, digits, unit) {
  return value === null || value === undefined ? "–" : `${value.toFixed(digits)}${unit}`;
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

// with a minus sign where there is one, and none before 0.00
function measured({ similarity, threshold }) {
  const text = similarity.toFixed(2).replace("-0.00", "0.00").replace("-", "−");
  return `${text} of ${threshold.toFixed(2)} needed`;
}

function span(seconds) {
  if (seconds === null) return "of unknown age";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} old`;
  }
  return `${Math.floor(seconds)} s old`;
}

function spark(tile, camera, key, value) {
  const series = history.get(`${camera} ${key}`) || [];
  series.push(value === null || value === undefined ? 0 : value);
  if (series.length > POINTS) series.shift();
  history.set(`${camera} ${key}`, series);
  const most = Math.max(...series, 1e-9);
  const points = series.map((one, at) => `${POINTS - series.length + at},${(23 - 22 * one / most).toFixed(1)}`);
  tile.querySelector(`[data-spark="${key}"] polyline`).setAttribute("points", points.join(" "));
}

function personLine(camera, person) {
  const line = element("li");
  const name = person.kind === "known" ? person.identity : person.kind;
  line.append(element("span", `#${person.track_id}`, "quiet"), " ", element("span", name, `name ${person.kind}`));
  if (person.similarity !== null) line.append(` ${measured(person)}`);
  if (person.slight_margin !== null) line.append(`, but only ${person.slight_margin.toFixed(2)} ahead of somebody else`);
  if (MAY_NAME) {
    const link = element("a", person.kind === "known" ? "Crops" : "Enrol");
    link.href = `/cameras/${camera}/tracks/${person.track_id}`;
    link.setAttribute("aria-label", `${link.textContent} of track ${person.track_id}, ${name}`);
    line.append(" ", link);
  }
  return line;
}

function showCamera(line) {
  const tile = tiles.get(line.camera);
  if (!tile) return;
  const state = byFact(tile, "state");
  say(state, line.state);
  state.className = `state ${line.state}`;
  const reason = byFact(tile, "reason");
  const quiet = line.quiet_s > QUIET_S ? `no frame for ${Math.round(line.quiet_s)} s` : "";
  reason.hidden = !(line.reason || quiet);
  say(reason, line.reason || quiet);
  const slowed = byFact(tile, "slowed");
  slowed.hidden = !line.slowed;
  say(slowed, line.slowed || "");
  const drift = byFact(tile, "drift");
  drift.hidden = !line.drift;
  say(drift, line.drift || "");
  const people = byFact(tile, "people");
  const shown = JSON.stringify(line.people);
  if (people.dataset.shown !== shown) people.replaceChildren(...line.people.map((person) => personLine(line.camera, person)));
  people.dataset.shown = shown;
  say(byFact(tile, "fps"), number(line.fps, 1, " a second"));
  say(byFact(tile, "p95_ms"), line.p95_ms === null ? "–" : `${Math.round(line.p95_ms)} ms`);
  say(byFact(tile, "count"), String(line.people.length));
  say(byFact(tile, "dropped"), String(line.dropped));
  spark(tile, line.camera, "fps", line.fps);
  spark(tile, line.camera, "p95_ms", line.p95_ms);
  spark(tile, line.camera, "count", line.people.length);
  spark(tile, line.camera, "dropped", line.dropped - (droppedBefore.get(line.camera) ?? line.dropped));
  droppedBefore.set(line.camera, line.dropped);
}

function showDevice(line) {
  const root = document.getElementById("device");
  const people = `${line.people} enrolled, ${counted(line.templates, "template")}`;
  say(byFact(root, "gallery"), `version ${line.gallery_version}, ${span(line.gallery_age_s)}: ${people}`);
  say(byFact(root, "broker"), line.broker);
  const dropped = line.outbox_dropped ? `, ${line.outbox_dropped} dropped` : "";
  say(byFact(root, "outbox"), line.outbox_depth === null ? "–" : `${line.outbox_depth} waiting${dropped}`);
  if (line.outbox_depth !== null) spark(root, "", "outbox", line.outbox_depth);
  say(document.getElementById("trouble"), [line.broker_trouble, line.gallery_trouble].filter(Boolean).join("; "));
}

function hitLine(hit) {
  const line = element("li");
  const link = element("a");
  link.href = `/hits/${hit.number}`;
  if (hit.crop === null) {
    link.append(element("span", "no crop", "gone"));
  } else {
    const picture = element("img");
    picture.src = `/hits/${hit.number}/crops/${hit.crop}.jpg`;
    picture.alt = "The crop that decided";
    link.append(picture);
  }
  const text = element("span", undefined, "text");
  const name = element("span", hit.identity || "unknown", `name ${hit.kind}`);
  if (hit.is_taken_back) {
    name.textContent = `not ${hit.identity}`;
    name.className = "name taken-back";
    text.append(name, element("span", "taken back by an operator"));
  } else {
    text.append(name);
  }
  text.append(element("span", hit.similarity === null ? "nobody enrolled" : measured(hit)));
  const when = hit.at.replace("T", " ").replace(/\.\d+Z$/, " UTC");
  const where = [hit.camera, ...hit.zones].join(", ");
  text.append(element("span", `${where}, ${when}${hit.is_over ? ", has left" : ""}`, "quiet"));
  link.append(text);
  line.append(link);
  return line;
}

let newestTold = null;
function showHits(hits) {
  const list = document.getElementById("hits");
  const known = new Map([...list.children].map((line) => [line.dataset.shown, line]));
  const lines = hits.map((hit) => {
    const line = known.get(JSON.stringify(hit)) || hitLine(hit);
    line.dataset.shown = JSON.stringify(hit);
    return line;
  });
  // what has not changed stays where it is, and so under the finger or the focus that is on it
  for (const line of [...list.children]) if (!lines.includes(line)) line.remove();
  lines.forEach((line, at) => { if (list.children[at] !== line) list.insertBefore(line, list.children[at] || null); });
  document.getElementById("no-hits").hidden = hits.length > 0;
  const newest = hits.find((hit) => hit.kind === "known" && !hit.is_taken_back);
  if (newest && newestTold !== null && newest.number !== newestTold) {
    say(document.getElementById("said"), `${newest.identity} at camera ${newest.camera}`);
  }
  newestTold = newest ? newest.number : 0;
}

// Pictures: a stream for the first tiles that are in sight, stills for the others, none while hidden.
const inSight = new Set();
let stillNumber = 0;

function showPictures() {
  let streams = 0;
  for (const [camera, tile] of tiles) {
    const picture = tile.querySelector("[data-live]");
    const isSeen = inSight.has(tile) && !document.hidden;
    const kind = !isSeen ? "none" : streams < MOST_STREAMS ? "stream" : "still";
    if (kind === "stream") streams += 1;
    if (picture.dataset.kind === kind) continue;
    picture.dataset.kind = kind;
    if (kind === "stream") picture.src = `/cameras/${camera}/live.mjpeg?${++stillNumber}`;
    else if (kind === "none") picture.removeAttribute("src"); // which ends the stream
  }
}

function renewStills() {
  for (const [camera, tile] of tiles) {
    const picture = tile.querySelector("[data-live]");
    if (picture.dataset.kind === "still") picture.src = `/cameras/${camera}/frame.jpg?${++stillNumber}`;
  }
}

function renewPictures() {
  for (const tile of tiles.values()) delete tile.querySelector("[data-live]").dataset.kind;
  showPictures();
}

// Events; a connection that is lost, or says nothing, is opened again.
let events = null;
let heardAt = Date.now();
let isLost = false;

function heard() {
  heardAt = Date.now();
  if (!isLost) return;
  isLost = false;
  document.getElementById("lost").hidden = true;
  renewPictures();
}

function lose() {
  isLost = true;
  document.getElementById("lost").hidden = false;
}

function connect() {
  if (events) events.close();
  events = new EventSource("/events");
  events.addEventListener("status", (event) => {
    heard();
    const status = JSON.parse(event.data);
    status.cameras.forEach(showCamera);
    showDevice(status.device);
  });
  events.addEventListener("hits", (event) => {
    heard();
    showHits(JSON.parse(event.data));
  });
  events.onerror = lose;
}

async function watch() {
  if (document.hidden || Date.now() - heardAt < SILENT_MS) return;
  lose();
  heardAt = Date.now();
  try {
    const answer = await fetch("/", { headers: { accept: "text/html" }, redirect: "manual" });
    if (answer.type === "opaqueredirect") location.assign("/login");
    else connect();
  } catch {
    // still away; it is tried again
  }
}

function start() {
  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? inSight.add(entry.target) : inSight.delete(entry.target);
    showPictures();
  }, { rootMargin: "100px" });
  for (const tile of tiles.values()) {
    sight.observe(tile);
    const button = tile.querySelector(".enlarge");
    button.addEventListener("click", () => {
      const isLarge = tile.classList.toggle("large");
      button.setAttribute("aria-pressed", String(isLarge));
    });
    const picture = tile.querySelector("[data-live]");
    picture.addEventListener("error", () => { if (!isLost) setTimeout(() => { delete picture.dataset.kind; showPictures(); }, 2000); });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) events.close();
    else { heardAt = Date.now(); connect(); }
    showPictures();
  });
  addEventListener("pagehide", () => events.close());
  setInterval(renewStills, 1000);
  setInterval(watch, 2000);
  connect();
}

if (tiles.size) start();
