// The stage: ?view=stage and the key F. One thing at a time, as large as the screen, told from the
// page behind it, which goes on as ever: what is shown here is copied from there when it changes.
(() => {
  const SCENES = ["answers", "watch", "curve", "inside", "room"];
  const MIRRORS = {
    question: "#spa-problem .spa-question",
    answers: "#spa-answers .spa-answers",
    watched: '#spa-answers :is(.spa-focus, [data-corner="soft-plain"])',
    accuracy: "#spa-accuracy .spa-chart",
    progress: "#spa-progress .spa-progress",
    switches: "#spa-switches .spa-switches",
    apart: "#spa-watched .spa-watched",
  };
  const KEYS = [
    ["Page Down", "on in the story"], ["Page Up", "back"], ["1 2 3 4 5", "answers, watch, curve, inside, room"],
    ["T", "train"], ["S", "stop"], ["N", "new problem"], ["U", "undo"], ["R", "reset"],
    ["V", "four tries, for the room's thumbs"], ["G", "learn from the room"], ["O", "open the room"],
    ["C", "the room's votes as a table (CSV)"], ["X", "end the room, while it is shown"],
    ["L", "light or dark"], ["?", "these keys"], ["F or Esc", "leave"],
  ];
  // What a finger can press too: a key, its words, and where it is of use. The keys do the work.
  const BUTTONS = [
    ["1", "Answers"], ["2", "Watch"], ["3", "Curve"], ["4", "Inside"], ["5", "Room"],
    ["T", "Train", "lesson"], ["S", "Stop", "lesson"], ["N", "New problem", "lesson"],
    ["O", "Open the room", "door"], ["V", "Four tries", "room"], ["G", "Learn", "room"],
    ["C", "Votes", "room"], ["X", "End", "room"],
    ["PageDown", "▶ Story"], ["?", "All keys"],
  ];
  const button = ([key, words, where = "any"]) =>
    `<button type="button" data-press="${key}" data-where="${where}">${key.length === 1 ? `<kbd>${key}</kbd> ` : ""}${words}</button>`;
  const PRESS = { t: "spa-train", s: "spa-stop", n: "spa-new-problem", u: "spa-undo", r: "spa-reset" };
  const LOOK_MS = 120;
  const PULSE_MS = 4000;

  const stage = document.createElement("section");
  stage.id = "spa-on-stage";
  stage.hidden = true;
  stage.setAttribute("aria-label", "Stage");
  stage.innerHTML = `
    <p class="spa-stage-top"><b>Soft Prompt Arena</b><span data-status></span><span data-lost role="alert"></span>${button(["F", "Leave"])}</p>
    <div class="spa-scene" data-scene="answers"><div data-mirror="question"></div><div data-mirror="answers"></div></div>
    <div class="spa-scene" data-scene="watch"><div data-mirror="question"></div>
      <div class="spa-side-by-side"><div data-mirror="watched"></div><div data-mirror="accuracy"></div></div>
      <div data-mirror="progress"></div></div>
    <div class="spa-scene" data-scene="curve"><div data-mirror="accuracy"></div></div>
    <div class="spa-scene" data-scene="inside"><div data-mirror="apart"></div><div data-mirror="switches"></div></div>
    <div class="spa-scene" data-scene="room"><div id="spa-room-scene"></div></div>
    <div class="spa-stage-story"></div>
    <div class="spa-stage-keys" role="group" aria-label="On stage">${BUTTONS.map(button).join("")}</div>
    <dl class="spa-stage-help" hidden>${KEYS.map(([key, what]) => `<div><dt>${key}</dt><dd>${what}</dd></div>`).join("")}</dl>`;
  const part = (selector) => stage.querySelector(selector);
  const on = () => !stage.hidden;

  // Copies what differs; a picture that is not drawn yet leaves the old one standing.
  const mirror = () => {
    for (const place of stage.querySelectorAll(`.spa-scene[data-scene="${stage.dataset.scene}"] [data-mirror]`)) {
      const source = document.querySelector(MIRRORS[place.dataset.mirror]);
      const told = source ? source.outerHTML : "";
      if (place.told !== told) place.innerHTML = place.told = told;
    }
  };
  let waiting = 0;
  const watch = new MutationObserver((changes) => {
    if (!on() || waiting || changes.every((change) => stage.contains(change.target))) return;
    waiting = setTimeout(() => { waiting = 0; mirror(); }, LOOK_MS);
  });

  const scene = (name) => {
    if (!SCENES.includes(name)) return;
    stage.dataset.scene = name;
    sessionStorage.setItem("spa-scene", name);
    SCENES.forEach((one, i) => part(`[data-press="${i + 1}"]`).setAttribute("aria-pressed", one === name));
    if (name === "inside") document.getElementById("spa-tab-inside-button")?.click();
    else if (name !== "room") document.getElementById("spa-tab-teach-button")?.click();
    mirror();
    document.dispatchEvent(new CustomEvent("spa-scene", { detail: name }));
  };

  const lens = () => stage.style.setProperty("--lens", innerHeight / 1080);
  addEventListener("resize", lens);

  const address = (value) => {
    const now = new URL(location.href);
    if (value) now.searchParams.set("view", value);
    else now.searchParams.delete("view");
    if (now.href !== location.href) history.replaceState(history.state, "", now);
  };
  const behind = () => document.querySelector(".gradio-container > .main");

  const enter = (first = "answers") => {
    const home = document.querySelector(".gradio-container");
    if (on() || !home) return;
    home.append(stage);
    stage.hidden = false;
    lens();
    document.documentElement.classList.add("spa-staged");
    behind()?.setAttribute("inert", ""); // the keyboard stays on the stage
    watch.observe(home, { childList: true, subtree: true, characterData: true, attributes: true });
    scene(first);
    address("stage");
    document.dispatchEvent(new CustomEvent("spa-stage", { detail: true }));
  };
  const leave = () => {
    if (!on()) return;
    const focused = stage.contains(document.activeElement);
    stage.hidden = true;
    watch.disconnect();
    document.documentElement.classList.remove("spa-staged");
    behind()?.removeAttribute("inert");
    address("");
    if (focused) document.querySelector('[data-show="stage"]')?.focus({ preventScroll: true });
    if (document.fullscreenElement) document.exitFullscreen();
    document.dispatchEvent(new CustomEvent("spa-stage", { detail: false }));
  };
  const fill = () => document.documentElement.requestFullscreen?.().catch(() => {});

  const typing = (target) =>
    target.closest?.('textarea, select, [contenteditable="true"], input:not([type=range], [type=radio], [type=checkbox])');
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "f") {
      if (on()) leave();
      else { enter(); fill(); }
    } else if (!on()) return;
    else if (key === "Escape") leave();
    else if (SCENES[Number(key) - 1]) scene(SCENES[Number(key) - 1]);
    else if (key === "l") document.body.classList.toggle("dark");
    else if (key === "?") part(".spa-stage-help").hidden = !part(".spa-stage-help").hidden;
    else if (key === "o") scene("room");
    else if (PRESS[key]) {
      document.getElementById(PRESS[key])?.click();
      if (key === "t") scene("watch");
      if (key === "n") scene("answers");
    } else return;
    event.preventDefault();
  });
  stage.addEventListener("click", (event) => {
    const key = event.target.closest(".spa-stage-help") ? "?" : event.target.closest("[data-press]")?.dataset.press;
    if (key) stage.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  });
  document.addEventListener("fullscreenchange", () => document.fullscreenElement || leave());
  document.addEventListener("click", (event) => {
    if (event.target.closest?.('[data-show="stage"]')) { enter(); fill(); }
  });
  document.addEventListener("spa-facts", ({ detail: { episodes, run, asked, heldOut } }) => {
    const learnt = episodes ? `learnt from ${episodes} episode${episodes === 1 ? "" : "s"}` : "not trained yet";
    const exam = run && asked < heldOut ? ` · asked ${asked} of ${heldOut} so far` : "";
    part("[data-status]").textContent = run && run.done < run.total ? `learning: ${run.done} of ${run.total}` : learnt + exam;
  });

  // Whoever runs the show has no hands free: after the server was away, the page comes back by itself.
  let server = null, lost = false;
  const pulse = async () => {
    if (!on()) return;
    try {
      const answer = await fetch("room/pulse", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const { server: now } = await answer.json();
      if (lost || (server && server !== now)) location.reload();
      server = now;
    } catch {
      lost = true;
      part("[data-lost]").textContent = "Connecting again …";
    }
  };
  setInterval(pulse, PULSE_MS);

  const arrival = new MutationObserver(() => {
    if (!document.querySelector("#spa-answers .spa-answers")) return;
    arrival.disconnect();
    if (new URL(location.href).searchParams.get("view") === "stage") enter(sessionStorage.getItem("spa-scene") || "answers");
    document.dispatchEvent(new CustomEvent("spa-ready"));
  });
  arrival.observe(document, { childList: true, subtree: true });

  window.spaStage = { on, enter, leave, scene, get now() { return stage.dataset.scene; }, story: part(".spa-stage-story"), room: part("#spa-room-scene") };
})();
