"use strict";
// Corners of a zone or a mask, or the ends of a line, drawn over a still, into lines for the configuration.
const STEP = 0.01;
const root = document.querySelector("[data-areas]");
const canvas = root.querySelector("svg");
const output = root.querySelector("textarea");
const said = root.querySelector("[data-said]");
const field = (name) => root.querySelector(`[name="${name}"]`);
let corners = [];
let cross = [0.5, 0.5];

const within = (share) => Math.min(1, Math.max(0, Math.round(share * 1000) / 1000));

// A line of two ends, and from its middle an arrow to where who crosses it goes "in": to the right
// of who looks from the first end to the second, in pixels, as the picture is wider than high.
function arrow([x1, y1], [x2, y2]) {
  const { width, height } = canvas.getBoundingClientRect();
  const [along, down] = [(x2 - x1) * width, (y2 - y1) * height];
  const length = Math.hypot(along, down) || 1;
  const at = (forward, right) => {
    const x = (x1 + x2) / 2 + (along * forward - down * right) / length / width;
    return `${x} ${(y1 + y2) / 2 + (down * forward + along * right) / length / height}`;
  };
  return `M${x1} ${y1}L${x2} ${y2}M${at(0, 0)}L${at(0, 28)}M${at(-6, 20)}L${at(0, 28)}L${at(6, 20)}`;
}

// What the kind has beside its name and its corners, as lines of TOML; null where it is wrong.
function more(kind) {
  const loitering = field("loitering_s");
  if (kind === "zones" && !loitering.checkValidity()) return null;
  if (kind === "zones" && loitering.value) return `loitering_s = ${loitering.value}\n`;
  const { value } = field("direction");
  return kind === "lines" && value !== "both" ? `direction = "${value}"\n` : "";
}

function problem(kind, isNamed) {
  if (!isNamed) return "The name should be of a-z, 0-9, - and _.";
  if (more(kind) === null) return "Loitering should be after 1 to 86400 whole seconds.";
  if (kind !== "lines") return corners.length < 3 ? `${corners.length} corners; three are needed at least.` : "";
  if (corners.length < 2) return `${corners.length} ends; a line has two.`;
  return `${corners[0]}` === `${corners[1]}` ? "The two ends should differ." : "";
}

// A name that nobody has changed goes with the kind.
function proposeName(kind) {
  const proposed = { zones: "zone-1", lines: "line-1" };
  if (proposed[kind] && Object.values(proposed).includes(field("name").value)) field("name").value = proposed[kind];
}

function show() {
  const kind = field("kind").value;
  if (kind === "lines") corners = corners.slice(0, 2);
  const isLine = kind === "lines" && corners.length === 2;
  const points = corners.map((corner) => corner.join(",")).join(" ");
  canvas.querySelector("polygon").setAttribute("points", isLine ? "" : points);
  canvas.querySelector("[data-line]").setAttribute("d", isLine ? arrow(...corners) : "");
  const [x, y] = cross;
  canvas.querySelector("[data-cross]").setAttribute("d", `M${x - 0.02} ${y}H${x + 0.02}M${x} ${y - 0.02}V${y + 0.02}`);
  field("name").disabled = kind === "masks";
  for (const label of root.querySelectorAll("[data-only]")) label.hidden = label.dataset.only !== kind;
  const isNamed = kind === "masks" || field("name").checkValidity() && field("name").value;
  const trouble = problem(kind, isNamed);
  const name = kind === "masks" ? "" : `name = "${field("name").value}"\n`;
  const toml = `points = [${corners.map((corner) => `[${corner.join(", ")}]`).join(", ")}]`;
  output.value = trouble ? "" : `[[cameras.${root.dataset.areas}.${kind}]]\n${name}${toml}\n${more(kind)}`;
  said.textContent = trouble || (isLine ? "A line; the arrow points to where people go in." : `${corners.length} corners.`);
}

function add(corner) {
  if (field("kind").value === "lines" && corners.length === 2) corners = [];
  corners.push(corner.map(within));
  show();
}

canvas.addEventListener("click", (event) => {
  const place = canvas.getBoundingClientRect();
  cross = [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height].map(within);
  add(cross);
});
canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  if (moves[event.key]) cross = cross.map((share, axis) => within(share + moves[event.key][axis]));
  else if (event.key === "Enter") add(cross);
  else if (event.key === "Backspace") corners.pop();
  else return;
  event.preventDefault();
  show();
});
root.addEventListener("input", (event) => {
  if (event.target === field("kind")) proposeName(event.target.value);
  show();
});
root.addEventListener("click", async (event) => {
  const wish = event.target.dataset.do;
  if (!wish) return;
  if (wish === "undo") corners.pop();
  if (wish === "clear") corners = [];
  show();
  if (wish !== "copy") return;
  output.select();
  try {
    await navigator.clipboard.writeText(output.value);
    said.textContent = "Copied.";
  } catch {
    said.textContent = "The lines are selected; copy them with Ctrl-C."; // a page without TLS may not
  }
});
show();
window.addEventListener("resize", show);
