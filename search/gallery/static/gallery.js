// Suggestions, keyboard, infinite scroll. Every page works without it: links are links, forms are forms.
"use strict";

const root = document.documentElement.dataset.root;
const box = document.getElementById("q");
const list = document.getElementById("suggestions");
const grid = document.getElementById("grid");

// ---- suggestions: a combobox with a listbox
let asked = 0;
let chosen = -1;

function close() {
  list.hidden = true;
  list.replaceChildren();
  chosen = -1;
  box.setAttribute("aria-expanded", "false");
  box.removeAttribute("aria-activedescendant");
}

function take(item) {
  box.value = item.dataset.text;
  close();
  box.focus();
  if (item.dataset.text.endsWith(" ")) box.form.requestSubmit();
  else suggest();
}

function point(at) {
  const items = [...list.children];
  chosen = items.length ? (at + items.length) % items.length : -1;
  items.forEach((item, n) => item.setAttribute("aria-selected", String(n === chosen)));
  if (chosen >= 0) box.setAttribute("aria-activedescendant", items[chosen].id);
}

function show(suggestions) {
  close();
  for (const [n, one] of suggestions.entries()) {
    const item = document.createElement("li");
    item.id = `suggestion-${n}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.dataset.text = one.text;
    const about = document.createElement("span");
    about.textContent = one.count ? one.count.toLocaleString("en") : one.about;
    item.append(one.clause, about);
    item.addEventListener("mousedown", (event) => { event.preventDefault(); take(item); });
    list.append(item);
  }
  if (suggestions.length) {
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
  }
}

async function suggest() {
  const mine = ++asked;
  if (!box.value.trim()) return close();
  try {
    const answer = await fetch(`${root}/api/suggest?${new URLSearchParams({ q: box.value })}`);
    if (answer.ok && mine === asked && document.activeElement === box) show((await answer.json()).suggestions);
  } catch { close(); }
}

let pause;
box.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(suggest, 120); });
box.addEventListener("blur", () => { asked++; close(); });
box.form.addEventListener("submit", (event) => {
  asked++;
  if (!box.value.trim()) { event.preventDefault(); location.assign(`${root}/`); }
});
box.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!list.hidden) { event.preventDefault(); point(chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1)); }
    else if (event.key === "ArrowDown" && grid) { event.preventDefault(); focusCard(0); }
  } else if (event.key === "Enter" && chosen >= 0) {
    event.preventDefault();
    take(list.children[chosen]);
  } else if (event.key === "Escape") {
    event.preventDefault();
    if (!list.hidden) { asked++; close(); } else box.blur();
  }
});

// ---- keyboard: / to the box, arrows over the grid, Esc back
const cards = () => [...document.querySelectorAll(".card a")];

function focusCard(at) {
  const all = cards();
  if (all.length) all[Math.max(0, Math.min(at, all.length - 1))].focus();
}

function vertical(all, from, direction) {
  const here = all[from].getBoundingClientRect();
  const middle = here.left + here.width / 2;
  let best = -1;
  let least = Infinity;
  all.forEach((one, n) => {
    const there = one.getBoundingClientRect();
    const rows = (there.top - here.top) * direction;
    if (rows < here.height / 2) return;
    const far = rows * 10 + Math.abs(there.left + there.width / 2 - middle);
    if (far < least) { least = far; best = n; }
  });
  return best;
}

function overGrid(event) {
  const all = cards();
  const at = all.indexOf(document.activeElement);
  if (at < 0) {
    if (event.key === "ArrowDown" && all.length && document.activeElement === document.body) { event.preventDefault(); focusCard(0); }
    return;
  }
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key]
    ?? (event.key === "ArrowDown" ? vertical(all, at, 1) : event.key === "ArrowUp" ? vertical(all, at, -1) : undefined);
  if (to === undefined) return;
  event.preventDefault();
  if (event.key === "ArrowUp" && to < 0) box.focus();
  else if (to >= 0) focusCard(to);
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
  if (event.key === "/") { event.preventDefault(); box.focus(); box.select(); return; }
  const back = document.getElementById("back");
  if (event.key === "Escape") {
    const open = document.querySelector(".menu[open]");
    if (open) open.open = false;
    else if (back) back.click();
  } else if (back && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    const step = document.getElementById(event.key === "ArrowLeft" ? "before" : "after");
    if (step && !step.hidden) step.click();
  } else if (grid) overGrid(event);
});

for (const menu of document.querySelectorAll(".menu")) {
  menu.addEventListener("toggle", () => {
    if (menu.open) for (const other of document.querySelectorAll(".menu[open]")) if (other !== menu) other.open = false;
  });
}
const narrow = document.querySelector(".narrow");
if (narrow && matchMedia("(max-width: 760px)").matches) narrow.open = false;

// ---- infinite scroll: the address always names the page that is looked at
function remember() {
  try { sessionStorage.setItem("ids", JSON.stringify({ q: box.value, ids: cards().map((one) => one.dataset.id) })); } catch { /* full or forbidden */ }
}

async function more(item) {
  if (item.classList.contains("busy")) return;
  item.classList.add("busy");
  const href = item.querySelector("a").getAttribute("href");
  try {
    const answer = await fetch(`${href}&part=1`);
    if (!answer.ok) throw new Error(answer.statusText);
    const part = document.createElement("template");
    part.innerHTML = await answer.text();
    const first = part.content.querySelector(".card");
    if (first) first.dataset.page = item.dataset.page;
    const next = part.content.querySelector(".more");
    item.replaceWith(part.content);
    if (next) ends.observe(next);
    remember();
  } catch { item.classList.remove("busy"); }
}

const ends = new IntersectionObserver((seen) => {
  for (const one of seen) if (one.isIntersecting) more(one.target);
}, { rootMargin: "800px" });

let looking = 0;

function where() {
  looking = 0;
  let page = Number(grid.dataset.page);
  for (const first of grid.querySelectorAll(".card[data-page]")) {
    if (first.getBoundingClientRect().top < innerHeight / 2) page = Number(first.dataset.page);
  }
  const url = new URL(location);
  if (page > 1) url.searchParams.set("page", page); else url.searchParams.delete("page");
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

if (grid) {
  for (const end of grid.querySelectorAll(".more")) ends.observe(end);
  addEventListener("scroll", () => { looking ||= requestAnimationFrame(where); }, { passive: true });
  remember();
}

// ---- one image: boxes on and off, the ones before and after it in the results
const boxes = document.getElementById("boxes");
if (boxes) boxes.addEventListener("change", () => { document.querySelector(".marks").toggleAttribute("hidden", !boxes.checked); });

const one = document.querySelector(".one");
if (one) {
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem("ids")); } catch { /* forbidden */ }
  const at = kept ? kept.ids.indexOf(one.dataset.id) : -1;
  for (const [id, key] of [["before", kept?.ids[at - 1]], ["after", kept?.ids[at + 1]]]) {
    if (at >= 0 && key) {
      const link = document.getElementById(id);
      link.href = `${root}/images/${key}${location.search}`;
      link.hidden = false;
    }
  }
}

// ---- likeness: the strip below an image, and a picture from the person's own disk
const strip = document.getElementById("strip");
if (strip) {
  fetch(strip.dataset.href).then(async (answer) => { if (answer.ok) strip.innerHTML = await answer.text(); }).catch(() => {});
}

const button = document.getElementById("upload");
const picture = document.getElementById("picture");
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => picture.click());
  picture.addEventListener("change", async () => {
    if (!picture.files.length) return;
    button.disabled = true;
    try {
      const headers = { "Content-Type": "application/octet-stream", Accept: "application/json" };
      const answer = await fetch(`${root}/like`, { method: "POST", headers, body: picture.files[0] });
      const told = await answer.json();
      if (answer.ok) location.assign(told.href);
      else alert(`${told.error.cause}. ${told.error.hint}`);
    } catch { alert("The picture could not be sent."); }
    button.disabled = false;
    picture.value = "";
  });
}
