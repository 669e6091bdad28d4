// The room on stage: its code, what is asked, and what comes in, each dot a person. The presenter's
// wishes go to the server through the page; counts come by a stream of their own.
(() => {
  const scene = window.spaStage.room;
  const KEPT = "spa-room";
  let room = JSON.parse(sessionStorage.getItem(KEPT) || "null"); // {code, key, url, qr}
  let counts = { people: 0, asks: [] }, events = null, said = "", doing = "";

  const make = (tag, attributes = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  const people = (number) => `${number} ${number === 1 ? "person" : "people"}`;

  const press = () => {
    const button = document.getElementById("spa-room-do");
    if (button && !button.disabled) button.click();
    else setTimeout(press, 200); // the page has no lesson yet
  };
  const wish = (what, more = {}) => {
    window.spaRoom.wish = { do: what, ...more };
    doing = what;
    said = "";
    paint();
    press(); // what it was told, or that it was refused, comes when it does
  };
  const open = () => wish("open", { address: location.origin + location.pathname.replace(/\/?$/, "/") });
  const ask = (what) => { if (room) wish(what); };

  const told = (text) => {
    if (!text) return;
    const now = JSON.parse(text);
    doing = "";
    if (now.ended) return forget();
    said = now.said || "";
    if (!now.code) return paint();
    setTimeout(paint, 500); // once the page has said what became likelier
    room = { ...(room?.code === now.code ? room : {}), code: now.code, key: now.key, ...(now.qr ? { qr: now.qr, url: now.url } : {}) };
    sessionStorage.setItem(KEPT, JSON.stringify(room));
    listen();
    paint();
  };
  const refused = () => { // the page says why
    doing = "";
    paint();
  };
  const forget = (why = "") => {
    events?.close();
    events = room = null;
    counts = { people: 0, asks: [] };
    said = why;
    sessionStorage.removeItem(KEPT);
    paint();
  };
  const listen = () => {
    if (!room || (events && events.code === room.code)) return;
    events?.close();
    events = new EventSource(`room/${room.code}/counted?key=${encodeURIComponent(room.key)}`);
    events.code = room.code;
    events.onmessage = (event) => {
      counts = JSON.parse(event.data);
      paint();
      document.dispatchEvent(new CustomEvent("spa-counted"));
    };
    events.addEventListener("ended", () => forget());
    events.onerror = () => { if (events?.readyState === EventSource.CLOSED) setTimeout(back, 3000); };
  };
  // The server answered something else, or it was started again and knows the room no more.
  const back = async () => {
    if (!room) return;
    const lost = events, answer = await fetch(`room/${room.code}`).catch(() => null);
    if (events !== lost) return; // there is a new room
    if (answer?.status === 404) return forget("The room is gone: the app was started again, or it was open for too long. A new one has a new code for everybody to scan.");
    if (!answer?.ok) return setTimeout(back, 3000);
    events = null;
    listen();
  };

  // --- dots ----------------------------------------------------------------------------------------

  // Numbers pile up in bins along a line; where many are in one, its dots shrink to fit.
  const pile = (numbers, most) => {
    const bins = new Map();
    for (const number of numbers) {
      const bin = Math.min(39, Math.floor(40 * number / Math.max(1, most)));
      bins.set(bin, (bins.get(bin) || 0) + 1);
    }
    const tallest = Math.max(8, ...bins.values());
    const columns = [...bins].map(([bin, count]) => make("div", { style: `left:${2.5 * bin}%` },
      ...Array.from({ length: count }, () => make("i", { style: `height:${100 / tallest}%` }))));
    return make("div", { class: "spa-pile" }, make("div", { class: "spa-piled" }, ...columns),
      make("p", {}, make("span", {}, "0"), make("span", {}, String(most))));
  };
  const dots = (count, kind = "") => Array.from({ length: count }, () => make("i", { class: kind }));
  const DRAWN = {
    number: (one) => [pile(one.tally, one.most)],
    choice: (one) => one.options.map((words, i) => make("div", { class: "spa-votes" }, make("b", {}, words),
      make("span", { class: "spa-dots", "data-many": one.tally[i] > 24 }, ...dots(one.tally[i])), make("em", {}, String(one.tally[i])))),
    thumbs: (one) => one.options.map((words, i) => {
      const [up, down] = one.tally[i];
      const mean = up + down ? (up - down) / (up + down) : 0;
      const verdict = !(up + down) ? "no votes" : !mean ? "tied" : `${mean > 0 ? "+" : "−"}${Math.abs(mean).toFixed(2)}`;
      return make("div", { class: "spa-votes" }, make("b", {}, words),
        make("span", { class: "spa-dots", "data-many": up + down > 32 }, ...dots(up, "spa-up"), ...dots(down, "spa-down")), make("em", {}, verdict));
    }),
  };

  const LOCAL = /^(localhost|127\.|\[?::1)/;
  const WAITS = { open: "Opening …", thumbs: "It is trying …", learn: "Learning …" };
  function paint() {
    scene.closest("#spa-on-stage").dataset.room = room ? "open" : "shut";
    if (!room) {
      scene.replaceChildren(make("div", { class: "spa-room-shut" }, make("h2", {}, "A room"),
        make("p", {}, doing ? WAITS[doing] || "…" : said || "Everybody with a phone predicts, votes and rates what the model tries. No account; nothing personal is kept."),
        make("p", {}, make("kbd", {}, "O"), " opens it")));
      return;
    }
    const door = make("div", { class: "spa-door" });
    if (room.qr) {
      const qr = make("div", { class: "spa-qr", role: "img", "aria-label": `QR code of ${room.url}` });
      qr.innerHTML = room.qr;
      door.append(qr, make("p", {}, room.url.replace(/^https?:\/\//, "").replace(room.code, ""), make("b", {}, room.code)));
    }
    if (LOCAL.test(location.hostname)) door.append(make("p", { class: "spa-door-shut" }, "Only this machine reaches this address: start the app with --host 0.0.0.0."));
    door.append(make("p", { class: "spa-present" }, make("b", {}, String(counts.people)), counts.people === 1 ? " phone" : " phones"));
    const asked = counts.asks.map((one) => make("section", { class: `spa-asked spa-asked-${one.kind}` },
      make("h2", {}, one.title), ...DRAWN[one.kind](one), make("p", { class: "spa-voters" }, people(one.voters))));
    const floor = make("div", { class: "spa-floor" }, ...(asked.length ? asked : [make("p", { class: "spa-lull" }, "Point your camera at the code. The first question comes in a moment.")]));
    const hint = document.querySelector("#spa-hint .spa-hint span:last-child")?.textContent || "";
    const line = doing ? WAITS[doing] || "…" : said && `${said} ${/It now says/.test(hint) ? hint.replace(/ Undo takes that back\.$/, "").replaceAll("you ", "the room ") : ""}`;
    floor.append(make("p", { class: "spa-room-said", role: "status" }, line || (counts.asks.some((one) => one.kind === "thumbs") ? "G learns from these thumbs" : "V shows four tries to rate")));
    scene.replaceChildren(door, floor);
  }

  document.addEventListener("keydown", (event) => {
    if (!window.spaStage.on() || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "o" && !room) open();
    else if (key === "v" || key === "g") {
      window.spaStage.scene("room");
      if (!room) return open();
      wish(key === "v" ? "thumbs" : "learn");
    } else if (key === "x" && room && window.spaStage.now === "room") wish("end");
    else if (key === "c" && room) location.href = `room/${room.code}/votes.csv?key=${encodeURIComponent(room.key)}`;
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.('[data-show="room"]')) return;
    window.spaStage.enter("room");
    if (!room) open();
  });
  document.addEventListener("spa-asks", ({ detail }) => {
    if (!room) return;
    ask(detail);
    if (window.spaStage.on() && detail !== "nothing") window.spaStage.scene("room");
  });
  document.addEventListener("spa-facts", () => { if (said) paint(); });
  document.addEventListener("spa-ready", () => { listen(); paint(); });

  window.spaRoom = { wish: null, told, refused, get open() { return room !== null; }, get counts() { return counts; } };
  paint();
})();
