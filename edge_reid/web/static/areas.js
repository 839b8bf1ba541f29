"use strict";
// Corners of a zone or a mask, drawn over a still, into lines for the configuration.
const STEP = 0.01;
const root = document.querySelector("[data-areas]");
const canvas = root.querySelector("svg");
const output = root.querySelector("textarea");
const said = root.querySelector("[data-said]");
const field = (name) => root.querySelector(`[name="${name}"]`);
let corners = [];
let cross = [0.5, 0.5];

const within = (share) => Math.min(1, Math.max(0, Math.round(share * 1000) / 1000));

function show() {
  canvas.querySelector("polygon").setAttribute("points", corners.map((corner) => corner.join(",")).join(" "));
  const [x, y] = cross;
  canvas.querySelector("path").setAttribute("d", `M${x - 0.02} ${y}H${x + 0.02}M${x} ${y - 0.02}V${y + 0.02}`);
  const kind = field("kind").value;
  field("name").disabled = kind === "masks";
  const isNamed = kind === "masks" || field("name").checkValidity() && field("name").value;
  const points = `points = [${corners.map((corner) => `[${corner.join(", ")}]`).join(", ")}]`;
  const name = kind === "zones" ? `name = "${field("name").value}"\n` : "";
  const isWhole = corners.length >= 3 && isNamed;
  output.value = isWhole ? `[[cameras.${root.dataset.areas}.${kind}]]\n${name}${points}\n` : "";
  const missing = isNamed ? `${corners.length} corners; three are needed at least.` : "The name should be of a-z, 0-9, - and _.";
  said.textContent = isWhole ? `${corners.length} corners.` : missing;
}

function add(corner) {
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
  else if (event.key === "Enter") corners.push(cross);
  else if (event.key === "Backspace") corners.pop();
  else return;
  event.preventDefault();
  show();
});
root.addEventListener("input", show);
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
