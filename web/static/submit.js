// Says that a submitted op is being examined, which takes seconds, and keeps a second click from submitting it again.
"use strict";

(() => {
  const form = document.getElementById("submit-op");
  const button = form.querySelector("button[type=submit]");
  const label = button.textContent;

  form.addEventListener("submit", () => {
    button.disabled = true;
    button.textContent = button.dataset.busy;
  });
  // The page comes back from the browser's history as it was left.
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = label;
  });
})();
