// Keeps a run's page up to date: events by server-sent events, the rest as a part rendered by the server.
"use strict";

(() => {
  const live = document.getElementById("live");
  const log = document.getElementById("log");
  if (!live || live.dataset.active !== "true") return;

  const run = encodeURIComponent(live.dataset.run);
  let timer = null; // of the next refresh: events come in bursts, and one refresh answers all of a burst
  let behind = false; // whether an event came after the last refresh began
  let refreshing = Promise.resolve(); // refreshes follow each other, so that an old answer never replaces a newer one

  async function load() {
    behind = false;
    const response = await fetch(`/runs/${run}/live`, { headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const part = new DOMParser().parseFromString(await response.text(), "text/html");
    live.replaceChildren(...part.body.childNodes);
  }

  function refresh() {
    timer = null;
    refreshing = refreshing.then(load).catch(() => {}); // a lost connection: the next event tries again
    return refreshing;
  }

  function append(event) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const item = document.createElement("li");
    item.dataset.kind = event.kind;
    const time = document.createElement("time");
    time.dateTime = event.created_at;
    time.textContent = event.created_at.slice(11, 19);
    item.append(time, ` ${event.text}`);
    log.append(item);
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  const source = new EventSource(`/api/runs/${run}/events?after=${encodeURIComponent(live.dataset.after)}`);

  source.addEventListener("progress", (message) => {
    append(JSON.parse(message.data));
    behind = true;
    if (timer === null) timer = setTimeout(refresh, 250);
  });

  source.addEventListener("end", async (message) => {
    source.close();
    clearTimeout(timer);
    await refreshing;
    const shown = live.querySelector(".run-state");
    if (behind || shown === null || shown.textContent !== message.data) await refresh();
    live.dataset.active = "false";
  });
})();
