"use strict";
// The page is complete without this script: it adds the filters, the sorting and the dialog.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const filters = document.querySelector("#filters");
const matrix = document.querySelector(".matrix");
const dialog = document.querySelector("dialog");
const content = dialog.querySelector(".content");
const rows = all("tbody tr[data-name]", matrix);
const bodies = all("tbody", matrix);
const order = new Map([...rows, ...bodies].map((element, i) => [element, i]));
const target = (cell) => document.getElementById(cell.getAttribute("href").slice(1));
const finding = (cell) => !["pass", "empty"].includes(cell.dataset.status);

document.documentElement.classList.add("js");

// --- filters ---

let texts;  // of each row: its name and what its findings say; read when first needed

function textOf(row) {
  texts ??= new Map(rows.map((r) => {
    const articles = all("a.cell", r).filter(finding).map(target);
    const messages = articles.flatMap((article) => all("h4, .case > p", article));
    const parts = [r.dataset.name, ...messages.map((message) => message.textContent)];
    return [r, parts.join("\n").toLowerCase()];
  }));
  return texts.get(row);
}

function filter() {
  const chosen = Object.fromEntries(new FormData(filters));
  const fits = (element, name) => !chosen[name] || element.dataset[name] === chosen[name];
  const inColumn = (element) => fits(element, "suite") && fits(element, "dtype");
  const text = chosen.text.trim().toLowerCase();
  for (const element of all("[data-dtype]", matrix)) element.hidden = !inColumn(element);
  for (const heading of all("thead [data-suite]:not([data-dtype])", matrix)) {
    const columns = all("thead [data-dtype]:not([hidden])", matrix);
    heading.colSpan = columns.filter((c) => c.dataset.suite === heading.dataset.suite).length || 1;
    heading.hidden = !fits(heading, "suite");
  }
  for (const row of rows) {
    const cells = all("td:not([hidden]) a.cell", row).filter((cell) => fits(cell, "status"));
    row.hidden = !cells.length || !fits(row.parentElement, "definition")
      || (text !== "" && !textOf(row).includes(text));
  }
  for (const body of bodies) body.hidden = !all("tr[data-name]:not([hidden])", body).length;
  const wanted = new Set(shown().filter((cell) => fits(cell, "status")).map(target));
  for (const article of all("#findings article")) article.hidden = !wanted.has(article);
  const count = rows.filter((row) => !row.hidden).length;
  filters.querySelector("output").textContent = `${count} of ${rows.length} subjects`;
}

const shown = () => all("tr[data-name]:not([hidden]) td:not([hidden]) a.cell", matrix);

filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
document.querySelector("#clear").addEventListener("click", () => {
  filters.reset();
  filter();
  sort("");
});

// --- sorting: subjects within their definition, and definitions by their first subject ---

function sort(key, descending = key !== "name") {
  const compare = (a, b) => {
    if (key === "") return order.get(a) - order.get(b);
    const [x, y] = [a, b].map((r) => key === "name" ? r.dataset.name : number(r.dataset[key]));
    return (x < y ? -1 : x > y ? 1 : 0) * (descending ? -1 : 1) || order.get(a) - order.get(b);
  };
  const first = new Map(bodies.map((body) => {
    const sorted = all("tr[data-name]", body).sort(compare);
    body.append(...sorted);
    return [body, sorted[0]];
  }));
  // By name each definition stays where it is: it has a name of its own.
  const byFirst = (a, b) => compare(first.get(a), first.get(b));
  const byRun = (a, b) => order.get(a) - order.get(b);
  matrix.append(...[...bodies].sort(["", "name"].includes(key) ? byRun : byFirst));
  for (const heading of all("[data-sort]", matrix)) {
    heading.removeAttribute("aria-sort");
    if (heading.dataset.sort !== key) continue;
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }
  filters.elements.sort.value = key;
}

const number = (text) => text === "inf" ? Infinity : Number(text);

for (const heading of all("[data-sort]", matrix)) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", `sort by ${heading.textContent}`);
  heading.append(" ", button);
  heading.addEventListener("click", () => {
    const usual = heading.dataset.sort === "name" ? "ascending" : "descending";
    const turned = heading.getAttribute("aria-sort") === usual;
    sort(heading.dataset.sort, (usual === "descending") !== turned);
  });
}
filters.elements.sort.addEventListener("input", (event) => sort(event.target.value));

// --- the dialog: a copy of what the cell links to; its address is that of the cell ---

let current = null;

function open(cell) {
  current = cell;
  const copy = target(cell).cloneNode(true);
  copy.removeAttribute("id");  // it must stay unique
  copy.hidden = false;
  content.replaceChildren(copy);
  content.scrollTop = 0;
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", cell.getAttribute("href"));
}

function openAddress() {
  const cell = all("a.cell", matrix).find((c) => c.getAttribute("href") === location.hash);
  if (cell) open(cell);
}

function go(step) {
  const cells = shown().filter((cell) => finding(cell) || cell === current);
  const next = cells[cells.indexOf(current) + step];
  if (next) open(next);
}

dialog.addEventListener("close", () => {
  history.replaceState(null, "", location.pathname + location.search);
  current?.focus();
});
dialog.addEventListener("click", (event) => {
  const button = event.target.closest("[data-go]");
  if (button?.dataset.go === "0" || event.target === dialog) dialog.close();
  else if (button) go(Number(button.dataset.go));
});
window.addEventListener("hashchange", openAddress);

// --- the keyboard: arrows move from cell to cell ---

matrix.addEventListener("click", (event) => {
  const cell = event.target.closest("a.cell");
  if (!cell || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(cell);
});
matrix.addEventListener("keydown", (event) => {
  const cell = event.target.closest("a.cell");
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  let line = all("a.cell", cell.closest("tr")).filter((c) => shown().includes(c));
  if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const column = cell.parentElement.cellIndex;
    line = shown().filter((c) => c.parentElement.cellIndex === column);
  }
  line[line.indexOf(cell) + step]?.focus();
});

// --- copying, saving, printing ---

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  const code = button.parentElement.querySelector("pre");
  getSelection().selectAllChildren(code);  // for the reader's own copying, where ours is refused
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
document.querySelector("#save").addEventListener("click", () => {
  const text = document.querySelector("#report").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "softproof-report.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
});
window.addEventListener("beforeprint", () => {
  dialog.close();
  for (const details of all("#findings details")) details.open = true;
});

filter();
openAddress();
