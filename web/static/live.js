// Keeps a run's page up to date: events by server-sent events, the rest as a part rendered by the server.
"use strict";

(() => {
  const live = document.getElementById("live");
  const log = document.getElementById("log");
  if (!live || live.dataset.active !== "true") return;

  const address = `/runs/${encodeURIComponent(live.dataset.run)}/live`;
  let waiting = null;

  async function refresh() {
    const response = await fetch(address, { headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const part = new DOMParser().parseFromString(await response.text(), "text/html");
    live.replaceChildren(...part.body.childNodes);
  }

  function refreshSoon() {
    // Events come in bursts: one refresh answers all of a burst.
    if (waiting !== null) return;
    waiting = setTimeout(() => {
      waiting = null;
      refresh().catch(() => {});
    }, 300);
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

  const source = new EventSource(
    `/api/runs/${encodeURIComponent(live.dataset.run)}/events?after=${encodeURIComponent(live.dataset.after)}`
  );
  source.addEventListener("progress", (message) => {
    append(JSON.parse(message.data));
    refreshSoon();
  });
  source.addEventListener("end", () => {
    source.close();
    clearTimeout(waiting);
    refresh()
      .then(() => { live.dataset.active = "false"; })
      .catch(() => {});
  });
})();
