// Sorting and the viewer; everything else on the page works without this script.
"use strict";

// data: { methods, truth, metrics: [{ label, unit, digits, better, values: { image: [value of each method] } }] }
const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
document.documentElement.classList.add("script");

const read = (value) => (value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);
const valueOf = (metric, image, method) => read(metric.values[image][data.methods.indexOf(method)]);
const withUnit = (metric) => metric.label + (metric.unit ? ` (${metric.unit})` : "");

function printed(value, digits) {
  if (value === null) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  return value.toFixed(digits).replace("-", "−");
}

// Smaller is better; null where there is no number.
function distance(metric, image, method) {
  const value = valueOf(metric, image, method);
  if (value === null) return null;
  if (metric.better === "higher") return -value;
  if (metric.better === "lower") return value;
  const aim = metric.better === "nearer zero" ? 0 : valueOf(metric, image, data.truth);
  return aim === null ? null : Math.abs(value - aim);
}

function fill(select, names) {
  select.replaceChildren(...names.map((name, index) => new Option(name, index)));
}

// The gallery
const gallery = element("gallery");
const rows = gallery ? [...gallery.children] : [];

function ordered(order, metric, method) {
  if (order === "given") return rows;
  if (order === "name") return [...rows].sort((a, b) => a.dataset.name.localeCompare(b.dataset.name, "en", { numeric: true }));
  const badness = new Map(rows.map((row) => [row, distance(metric, row.dataset.index, method)]));
  const known = rows.filter((row) => badness.get(row) !== null);
  known.sort((a, b) => (badness.get(a) === badness.get(b) ? 0 : badness.get(a) - badness.get(b)));
  if (order === "worst") known.reverse();
  if (order === "median") {
    const middle = (known.length - 1) / 2;
    const place = new Map(known.map((row, index) => [row, Math.abs(index - middle)]));
    known.sort((a, b) => place.get(a) - place.get(b));
  }
  return [...known, ...rows.filter((row) => badness.get(row) === null)];
}

function sortGallery() {
  const order = element("order");
  const metric = data.metrics[element("order-metric").value];
  const method = data.methods[element("order-method").value];
  const byNumber = !["given", "name"].includes(order.value);
  element("order-method").disabled = !byNumber;
  gallery.replaceChildren(...ordered(order.value, metric, method));
  for (const figure of gallery.querySelectorAll("figure")) {
    const image = figure.closest(".image").dataset.index;
    figure.querySelector(".value").textContent = printed(valueOf(metric, image, figure.dataset.method), metric.digits);
  }
  element("shown-metric").textContent = withUnit(metric);
  element("order-said").textContent = byNumber
    ? `${order.selectedOptions[0].text}, by ${metric.label} of ${method}`
    : "";
}

// The viewer: two pictures of one image and a divider between them.
const viewer = element("viewer");
const divider = element("divider");
const picturesOf = (row) => new Map([...row.querySelectorAll("figure")].map((figure) => [figure.dataset.method, figure.querySelector("img")]));
let shown = null; // the gallery's row
let names = []; // the methods in the gallery's order: grey first, truth last

function setDivider() {
  divider.parentElement.style.setProperty("--divider", `${divider.value}%`);
  divider.setAttribute("aria-valuetext", `${divider.value} % ${names[element("left-method").value]}`);
}

function show() {
  const left = names[element("left-method").value];
  const right = names[element("right-method").value];
  const pictures = picturesOf(shown);
  element("viewer-name").textContent = shown.querySelector("h3").textContent;
  for (const [id, method] of [["left-picture", left], ["right-picture", right]]) {
    const picture = pictures.get(method);
    element(id).hidden = !picture;
    element(id).src = picture ? picture.src : "";
    element(id).alt = picture ? picture.alt : `${method}: no image`;
  }
  const any = [...pictures.values()].find(Boolean);
  divider.parentElement.style.setProperty("--aspect", `${any.width} / ${any.height}`);
  const head = document.createElement("thead");
  head.append(tableRow("th", ["", left, right]));
  const body = document.createElement("tbody");
  for (const metric of data.metrics) {
    const numbers = [left, right].map((method) => printed(valueOf(metric, shown.dataset.index, method), metric.digits));
    body.append(tableRow("td", [withUnit(metric), ...numbers]));
  }
  element("viewer-numbers").replaceChildren(head, body);
  setDivider();
}

function tableRow(kind, texts) {
  const row = document.createElement("tr");
  texts.forEach((text, index) => {
    const cell = document.createElement(index ? kind : "th");
    cell.scope = kind === "th" ? "col" : "row";
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

function open(button) {
  shown = button.closest(".image");
  const chosen = button.closest("figure").dataset.method;
  const last = names.length - 1;
  element("left-method").value = names.indexOf(chosen);
  element("right-method").value = names.indexOf(chosen) === last ? 0 : last;
  divider.value = 50;
  show();
  viewer.showModal();
}

function turn(step) {
  const all = [...gallery.children];
  shown = all[(all.indexOf(shown) + step + all.length) % all.length];
  show();
}

function changeMethod(step) {
  const select = element("left-method");
  select.value = (Number(select.value) + step + names.length) % names.length;
  show();
}

function onKey(event) {
  if (event.target.matches("select") || event.altKey || event.ctrlKey || event.metaKey) return;
  const horizontal = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const vertical = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (vertical) changeMethod(vertical);
  else if (horizontal && event.target !== divider) turn(horizontal);
  else return;
  event.preventDefault();
}

if (rows.length) {
  names = [...picturesOf(rows[0]).keys()];
  fill(element("order-metric"), data.metrics.map((metric) => metric.label));
  fill(element("order-method"), data.methods);
  fill(element("left-method"), names);
  fill(element("right-method"), names);
  for (const id of ["order", "order-metric", "order-method"]) element(id).addEventListener("change", sortGallery);
  sortGallery();
  gallery.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(button);
  });
  for (const id of ["left-method", "right-method"]) element(id).addEventListener("change", show);
  divider.addEventListener("input", setDivider);
  element("previous").addEventListener("click", () => turn(-1));
  element("next").addEventListener("click", () => turn(1));
  element("viewer-close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("keydown", onKey);
  // Back to the picture that is shown now, not the one that was opened.
  viewer.addEventListener("close", () => {
    const picture = picturesOf(shown).get(names[element("left-method").value]) ?? shown.querySelector("img");
    picture.closest("button").focus();
  });
}

// The manifest
element("copy")?.addEventListener("click", async () => {
  const command = element("command");
  try {
    await navigator.clipboard.writeText(command.textContent);
    element("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command); // a page opened from disk may not be let at the clipboard
  }
});

// On paper nothing is folded up.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));
