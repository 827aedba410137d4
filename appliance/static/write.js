// Help with writing: Kazakh letters under text fields, drafts that outlive a broken line, and three
// pictures chosen without a request for each. Without this file every page works, with more taps.
"use strict";

const DRAFT = "sandyq-draft:";
const LETTERS = "әғқңөұүһі";
const SHOWN = "sandyq-letters";
const reader = document.body.dataset.learner;
const words = document.body.dataset;

// A browser that keeps nothing (private window, full card) still writes: every access may fail.
const memory = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* nothing to do */ } },
  drop(prefix, but) {
    try {
      for (const key of Object.keys(localStorage)) {
        if (key.startsWith(prefix) && !(but && key.startsWith(but))) localStorage.removeItem(key);
      }
    } catch { /* nothing to do */ }
  },
};

function insert(field, letter) {
  field.setRangeText(letter, field.selectionStart, field.selectionEnd, "end");
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function key(label, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  // The field keeps its cursor, and a phone's own keyboard stays open.
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  button.addEventListener("click", () => act(button));
  return button;
}

function offerLetters(field) {
  const row = document.createElement("details");
  row.className = "letters";
  row.open = document.documentElement.lang === "kk" || memory.get(SHOWN) === "yes";
  row.addEventListener("toggle", () => memory.set(SHOWN, row.open ? "yes" : "no"));
  const title = document.createElement("summary");
  title.textContent = words.letters;
  const keys = document.createElement("div");
  const letters = [...LETTERS].map((letter) => key(letter, (own) => insert(field, own.textContent)));
  for (const button of letters) button.lang = "kk";
  const shift = key("⇧", () => {
    const capital = shift.getAttribute("aria-pressed") !== "true";
    shift.setAttribute("aria-pressed", capital);
    for (const [n, button] of letters.entries()) button.textContent = capital ? LETTERS[n].toUpperCase() : LETTERS[n];
    field.focus();
  });
  shift.setAttribute("aria-pressed", "false");
  shift.setAttribute("aria-label", words.capitals);
  keys.append(...letters, shift);
  row.append(title, keys);
  field.after(row);
}

function keepDraft(field) {
  const place = `${DRAFT}${reader}:${location.pathname}:${field.name}`;
  const kept = memory.get(place);
  // What stands on the page was received; only a text that never arrived comes back.
  const squeeze = (text) => text.replace(/\s+/g, " ").trim();
  const arrived = kept && squeeze(document.querySelector("main").innerText).includes(squeeze(kept));
  if (arrived) memory.drop(place);
  else if (kept && field.value === "") field.value = kept;
  field.addEventListener("input", () => (field.value ? memory.set(place, field.value) : memory.drop(place)));
}

function pickPictures(form) {
  const shown = document.querySelectorAll(".picked li");
  form.addEventListener("click", (event) => {
    const tile = event.target.closest("button.picture");
    const picked = form.picked.value.split(" ").filter(Boolean);
    if (!tile || picked.length + 1 >= Number(form.dataset.pictures)) return; // the last tap sends the form
    event.preventDefault();
    tile.disabled = true;
    form.picked.value = [...picked, tile.value].join(" ");
    const drawing = tile.querySelector("svg").cloneNode(true);
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", tile.textContent.trim());
    drawing.removeAttribute("aria-hidden");
    shown[picked.length].append(drawing);
  });
}

// A shared device: the next child finds nothing of the one before.
memory.drop(DRAFT, reader && `${DRAFT}${reader}:`);
document.querySelector("form[action$='/leave']")?.addEventListener("submit", () => memory.drop(DRAFT));
for (const field of document.querySelectorAll("textarea:not([readonly]), input[data-letters]")) {
  if (reader) keepDraft(field);
  offerLetters(field);
}
document.querySelectorAll("form[data-pictures]").forEach((form) => {
  if (Number(form.dataset.pictures)) pickPictures(form);
});
