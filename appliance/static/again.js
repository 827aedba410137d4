// A part of a page that changes by itself now and then: a pause, an exam. It is fetched again with its
// page and put in its place; nothing else on the page moves, so nobody loses a word or a place.
"use strict";

const shown = document.querySelector("[data-again]");

async function lookAgain() {
  try {
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-again]");
    if (fresh) {
      // Only what differs: a screen reader would read the same words again and again.
      if (fresh.innerHTML !== shown.innerHTML) shown.innerHTML = fresh.innerHTML; // the box's own template
    } else if (!answer.ok || shown.dataset.then === "reload") {
      location.reload();
      return;
    } else {
      shown.remove();
      return;
    }
  } catch {
    // The Wi-Fi is away for a moment.
  }
  setTimeout(lookAgain, shown.dataset.again * 1000);
}

if (shown) setTimeout(lookAgain, shown.dataset.again * 1000);
