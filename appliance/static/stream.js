// The one thing pages cannot do without a script: show words as they are written.
// Everything else works with forms and links; without this file the page reloads itself.
"use strict";

const place = document.querySelector("[data-stream]");
const source = place && new EventSource(place.dataset.stream);

function part(question, name) {
  return document.querySelector(`#q-${question} .${name}`);
}

function on(name, act) {
  source.addEventListener(name, (event) => act(JSON.parse(event.data)));
}

if (source) {
  on("place", ({ question, place: number }) => {
    const note = part(question, "note");
    if (note && number > 0) note.textContent = place.dataset.place.replace("%", number);
  });
  on("text", ({ question, start, text }) => {
    const answer = part(question, "answer");
    if (!answer) return;
    answer.textContent = answer.textContent.slice(0, start) + text;
    const note = part(question, "note");
    if (note) note.hidden = answer.textContent !== "";
  });
  on("finished", ({ question, html }) => {
    const article = document.getElementById(`q-${question}`);
    if (article) article.outerHTML = html; // made and escaped by the box's own template
  });
  on("done", () => source.close());
  on("class", ({ html }) => {
    place.innerHTML = html; // made and escaped by the box's own template
  });
}
