// The one thing pages cannot do without a script: show words as they are written.
// Everything else works with forms and links; without this file the page reloads itself.
"use strict";

// A block keeps its names: all scripts of a page share one list of them.
{
const RETRY_MILLISECONDS = 5000;
const place = document.querySelector("[data-stream]");

function part(question, name) {
  return document.querySelector(`#q-${question} .${name}`);
}

const acts = {
  reload() {
    location.assign(location.pathname); // the box has something else to show now
  },
  place({ question, place: number, seconds }) {
    const note = part(question, "note");
    if (!note || number < 1) return;
    const words = [place.dataset.place.replace("%", number)];
    if (seconds > 0) words.push(place.dataset.seconds.replace("%", seconds));
    note.textContent = words.join(" · ");
  },
  text({ question, start, text }) {
    const answer = part(question, "answer");
    if (!answer) return;
    answer.textContent = answer.textContent.slice(0, start) + text;
    const note = part(question, "note");
    if (note) note.hidden = answer.textContent !== "";
  },
  finished({ question, html }) {
    const article = document.getElementById(`q-${question}`);
    if (article) article.outerHTML = html; // made and escaped by the box's own template
  },
  part({ part: name, html }) {
    const box = document.getElementById(name);
    if (!box) return;
    // Whoever is about to press a button or has opened a table must not lose it to the news.
    const held = box.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...box.querySelectorAll("details[open]")].map((details) => details.id);
    box.innerHTML = html; // made and escaped by the box's own template
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (held) document.getElementById(held)?.focus();
  },
};

function connect() {
  const source = new EventSource(place.dataset.stream);
  for (const [name, act] of Object.entries(acts)) {
    source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  }
  source.addEventListener("done", () => source.close());
  source.addEventListener("error", () => {
    // The browser comes back by itself after a broken line, but gives up when the box says no.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MILLISECONDS);
  });
}

if (place) connect();
}
