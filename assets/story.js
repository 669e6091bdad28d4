// The story: Show me on the page, or ?story=1. Six steps over the live page, which anyone can tell:
// a card says what to see and points at the real thing; on stage the card lies below it. It is the
// same every time, goes back and forth, and comes back after a reload.
(() => {
  const DEMO = "seed=7&problem=logic_grid-2-2&episodes=80";
  const EPISODES = 80;
  const CORNERS = [
    ["alone-chat", "Model alone, with template"], ["alone-plain", "Model alone, without"],
    ["soft-chat", "Soft prompt, with template"], ["soft-plain", "Soft prompt, without"],
  ];
  const VERDICTS = { right: "✓ right", wrong: "✗ wrong", none: "– no answer", silent: "– no answer" };
  const ANSWER_MS = 60000; // a real model on a small machine answers within this
  const STOPS = 10; // on the way that training took, before it is looked at more closely
  const SETTLE_MS = 240; // until the page is done with what it was asked before

  // What is told. A text is a sentence, or makes one of the facts and what was done in the story.
  const STEPS = [
    {
      name: "look", at: "#spa-answers", tab: "teach", scene: "answers",
      title: "One question, four answers",
      text: () => "The same frozen model answers four times: alone, and behind eight extra vectors; with its chat template, and without. The vectors know nothing yet.",
      next: "Everybody predicts",
    },
    {
      name: "predict", at: "#spa-answers", tab: "teach", scene: "answers", asks: "predict",
      title: "What will training change?",
      text: ({ facts }) => `It will learn from ${EPISODES} other problems. Only the eight vectors change; the model stays frozen. Then it is asked ${facts.heldOut} problems that it has never seen${facts.alone ? `; alone it gets ${bare(facts)}` : ""}.`,
      body: predict,
      next: "Train it",
    },
    {
      name: "train", asks: "nothing", clear: true, at: ["#spa-answers .spa-focus", '#spa-answers [data-corner="soft-plain"]'], tab: "teach", scene: "watch",
      title: "Watch it learn",
      text: taught,
      body: train,
      next: "Reveal",
    },
    {
      name: "reveal", at: "#spa-accuracy", tab: "teach", scene: "curve",
      title: "What did it come to?",
      text: revealed,
      body: reveal,
      next: "When did it get it?",
    },
    {
      name: "scrub", at: "#spa-watched", tab: "inside", scene: "inside",
      title: "When did the answer flip?",
      text: scrubbed,
      body: scrub,
      next: "Which vector matters?",
    },
    {
      name: "vector", at: "#spa-switches", tab: "inside", scene: "inside", asks: "vector",
      title: "Which vector matters?",
      text: switched,
      body: vector,
      next: "Take it home",
    },
    {
      name: "home", at: "#spa-answers", tab: "teach", scene: "answers",
      title: "Take it home",
      text: () => "All that was learnt are these eight vectors, a file of some kilobytes. Save it or push it under “Save & share”, ask it a question of your own, or give away the link: it tells the same story.",
      body: home,
      next: "Done",
    },
  ];

  // --- what was done in the story, kept over a reload ---------------------------------------------

  const FRESH = { guess: null, picks: [], crowd: [], vector: null, way: [], off: {} };
  let state = { ...FRESH, ...JSON.parse(sessionStorage.getItem("spa-story") || "{}") };
  const keep = (change) => {
    state = { ...state, ...change };
    sessionStorage.setItem("spa-story", JSON.stringify(state));
    paint();
  };
  let facts = null, at = -1, busy = false;
  const told = () => ({ facts: facts || { heldOut: 200, episodes: 0, asked: 0 }, state });
  const step = () => STEPS[at];

  // --- the pieces of the steps ---------------------------------------------------------------------

  function make(tag, attributes = {}, ...inside) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...inside);
    return element;
  }
  const button = (words, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, words);

  function predict({ facts, state }) {
    const most = facts.heldOut, guess = state.guess ?? Math.round(most / 2);
    const said = make("output", {}, state.guess === null ? "?" : String(guess));
    const say = (event) => keep({ guess: Number(event.target.value) });
    const line = make("input", {
      type: "range", min: 0, max: most, value: guess, "data-key": "guess",
      "aria-label": `Your guess: how many of ${most}`,
      oninput: (event) => { said.textContent = event.target.value; },
      onchange: say,
      onclick: say, // where it stands from the start may be meant too, and is no change
    });
    const picks = CORNERS.map(([corner, words]) => button(words, () => keep({
      picks: state.picks.includes(corner) ? state.picks.filter((one) => one !== corner) : [...state.picks, corner],
    }), { "aria-pressed": String(state.picks.includes(corner)), "data-key": corner }));
    return [
      make("div", { class: "spa-guess" }, make("span", {}, `How many of ${most} will be right?`), line, said),
      make("p", { class: "spa-ask" }, "Which of these four will be right then?"),
      make("div", { class: "spa-picks" }, ...picks),
    ];
  }

  // A run has learnt from all, and goes on: it is being asked what it has never seen.
  const learning = ({ run }) => run && run.done < run.total;
  const bare = ({ alone, heldOut }) => `${alone.right} of ${alone.n < heldOut ? `the first ${alone.n} so far` : alone.n}`;

  function taught({ facts }) {
    const { run, episodes, asked, heldOut } = facts;
    if (learning(facts)) return `It has learnt from ${run.done} of ${run.total} problems so far. Watch the ☞ answer.`;
    if (!episodes && !run) return "Press the button, or T on stage, and watch the ☞ answer.";
    const now = run && asked < heldOut ? ` Now it is asked problems that it has never seen, ${asked} of ${heldOut} so far; go on if you like.` : "";
    return `It has learnt from ${episodes} problems. Not one of the model's weights has changed.${now}`;
  }

  function train({ facts }) {
    const { run, asked, heldOut } = facts;
    if (run) {
      const share = 100 * (learning(facts) ? run.done / run.total : asked / heldOut);
      return [make("div", { class: "spa-bar", "aria-hidden": "true" }, make("i", { style: `width:${share.toFixed(1)}%` }))];
    }
    if (facts.episodes) return [];
    return [button(`Train ${EPISODES} episodes`, () => document.getElementById("spa-train")?.click(), { class: "spa-do", "data-key": "train" })];
  }

  const verdict = (corner) => {
    const kinds = document.querySelector(`#spa-answers [data-corner="${corner}"]`)?.classList || [];
    return Object.keys(VERDICTS).find((kind) => kinds.contains?.(`spa-${kind}`)) || "";
  };

  function revealed({ facts, state }) {
    const { score, run } = facts;
    if (!facts.episodes && !run) return "It has not been trained yet: go a step back and press Train.";
    if (!score && learning(facts)) return `It has learnt from ${run.done} of ${run.total} problems so far; its first score comes on the way. Go on if you like.`;
    if (!score) return "It is being asked problems that it has never seen; the first score comes in a moment. Go on if you like.";
    const share = (100 * score.right / score.n).toFixed(0);
    const whole = score.n >= facts.heldOut ? `${score.right} of ${score.n}` : `${score.right} of the first ${score.n}${run ? " so far" : ""}, ${share} %,`;
    const middle = state.crowd[Math.floor(state.crowd.length / 2)];
    const guess = (state.guess === null ? "" : ` You said ${state.guess}.`) + (state.crowd.length ? ` The room's middle guess was ${middle}.` : "");
    return `${whole} are right after ${score.episodes} episodes${facts.alone ? `; alone it was ${bare(facts)}` : ""}.${guess}`;
  }

  function reveal({ facts, state }) {
    const score = facts.score, most = facts.heldOut;
    const mark = (value, kind, words) => make("i", { class: `spa-${kind}`, style: `left:${(100 * value).toFixed(1)}%` }, make("span", {}, words));
    const marks = state.crowd.map((value) => mark(value / most, "crowd", ""));
    if (facts.alone) marks.push(mark(facts.alone.right / facts.alone.n, "was", "alone"));
    if (state.guess !== null) marks.push(mark(state.guess / most, "guessed", "you"));
    if (score) marks.push(mark(score.right / score.n, "is", "now"));
    const corners = state.picks.length ? CORNERS.map(([corner, words]) => {
      const kind = verdict(corner), picked = state.picks.includes(corner);
      return make("li", { class: `spa-${kind}` }, make("b", {}, VERDICTS[kind] || "…"), ` ${words}${picked ? " · you said so" : ""}`);
    }) : [];
    return [
      make("div", { class: "spa-line", "aria-hidden": "true" }, ...marks, make("small", {}, "0"), make("small", {}, String(most))),
      ...(corners.length ? [make("ul", { class: "spa-came" }, ...corners)] : []),
    ];
  }

  // --- looking inside ------------------------------------------------------------------------------

  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const apart = () => document.querySelector("#spa-watched .spa-watched");
  // Does it, and again where the page was still busy with what was done before; then waits for the answer.
  const answered = async (fits, act, again = 1600) => {
    for (let waited = 0; waited < ANSWER_MS; waited += 80) {
      const now = apart();
      if (now && fits(now.dataset)) {
        if ("finished" in now.dataset) {
          await sleep(SETTLE_MS);
          const kinds = now.querySelector(".spa-verdict")?.classList;
          return Object.keys(VERDICTS).find((kind) => kinds?.contains(`spa-${kind}`)) || "";
        }
      } else if (waited % again === 0) act();
      await sleep(80);
    }
    return "";
  };
  const slide = (moment) => {
    const slider = document.querySelector("#spa-moment input[type=range]");
    if (!slider) return;
    slider.value = moment;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const moments = () => Number(document.querySelector("#spa-moment input[type=range]")?.max || 0);
  const episodes = () => Number(/after (\d+) episodes/.exec(apart()?.textContent || "")?.[1] || 0);
  const arrived = () => answered((now) => Number(now.latest) === facts.episodes, () => { // what is learnt by now
    for (const tab of ["teach", "inside"]) document.getElementById(`spa-tab-${tab}-button`)?.click();
  }, 6400);
  const alone = async (work) => { // one thing at a time, and not beyond its step
    if (busy) return;
    busy = true;
    const here = at;
    paint();
    try {
      await arrived();
      await work(() => at === here);
    } finally {
      busy = false;
      paint();
    }
  };

  const play = () => alone(async (here) => {
    const last = moments(), way = [];
    const see = async (moment) => {
      const kind = await answered((now) => Number(now.moment) === moment, () => slide(moment));
      way.push([episodes(), kind, moment]);
      way.sort((one, other) => one[2] - other[2]);
      keep({ way: [...way] });
      return kind;
    };
    for (let i = 0; i <= STOPS && here(); i++) {
      const moment = Math.round(i * last / STOPS);
      if (!way.some((one) => one[2] === moment)) await see(moment);
    }
    const first = way.findIndex(([, kind]) => kind === "right"); // and closer there
    const [low, high] = first > 0 ? [way[first - 1][2], way[first][2]] : [0, 0];
    for (let moment = low + 1; moment < high && here(); moment++) if (await see(moment) === "right") break;
  });

  function scrubbed({ facts, state }) {
    if (!facts.episodes) return "Nothing has been learnt yet: go back and press Train.";
    if (learning(facts)) return "It still learns; its way can be gone again once it has learnt from all.";
    const { way } = state;
    if (busy || !way.length) return "Every step of training was kept. Play it, or drag “Moment of training”, and watch the answer to our question.";
    const first = way.findIndex(([, kind]) => kind === "right");
    if (first < 0) return "Our question was not answered rightly at any moment. Others were: that is what the curve says.";
    if (first === 0) return "Our question was right from the start; others were not, as the curve says.";
    const back = way.slice(first).some(([, kind]) => kind !== "right");
    return `The answer flips after ${way[first][0]} episodes${back ? ", and wavers a little from there" : ", and stays right"}.`;
  }

  function scrub({ facts, state }) {
    const beads = state.way.map(([after, kind]) => make("i", { class: `spa-${kind}`, title: `${after} episodes: ${VERDICTS[kind] || "…"}` }, { right: "✓", wrong: "✗" }[kind] || "–"));
    const ready = facts.episodes && !learning(facts) && !busy;
    return [
      make("div", { class: "spa-beads", role: "img", "aria-label": state.way.map(([after, kind]) => `${after}: ${VERDICTS[kind] || ""}`).join(", ") }, ...beads),
      button(busy ? "Playing …" : "Play the training", play, { class: "spa-do", disabled: !ready, "data-key": "play" }),
    ];
  }

  const press = (number) => document.querySelector(`#spa-switches [data-vector="${number}"]`)?.click();
  const whole = () => answered((now) => !now.kept.includes("0") && Number(now.moment) === moments(), () => document.getElementById("spa-whole")?.click());
  const without = async (number) => {
    const kind = await answered((now) => now.kept[number] === "0", () => press(number));
    keep({ off: { ...state.off, [number]: kind } });
  };
  const one = () => alone(async () => { await whole(); await without(state.vector); });
  const each = () => alone(async (here) => {
    for (let number = 0; number < count() && here(); number++) {
      await whole();
      if (here()) await without(number);
    }
    await whole();
  });
  const count = () => document.querySelectorAll("#spa-switches [data-vector]").length || 8;

  function switched({ facts, state }) {
    if (!facts.episodes) return "Nothing has been learnt yet: go back and press Train.";
    const tried = Object.entries(state.off);
    if (!tried.length) return "Pick the vector that you think our answer hangs on. Switched off, it is as it was before training.";
    const lost = tried.filter(([, kind]) => kind && kind !== "right").map(([number]) => Number(number) + 1);
    if (tried.length < count()) {
      const [number, kind] = tried.at(-1);
      return `Without vector ${Number(number) + 1} the answer is ${(VERDICTS[kind] || "…").slice(2)}.`;
    }
    if (!lost.length) return "No single one: switch off any, and the others still carry the answer. They hide each other.";
    return `Our answer hangs on vector ${lost.join(", ").replace(/, (\d+)$/, " and $1")}; switched off alone, no other loses it.`;
  }

  function vector({ facts, state }) {
    const ready = facts.episodes && !learning(facts) && !busy;
    const choices = Array.from({ length: count() }, (_, number) => {
      const kind = state.off[number];
      return button(`${number + 1}${kind ? ` ${VERDICTS[kind][0]}` : ""}`, () => keep({ vector: number }), {
        "aria-pressed": String(state.vector === number), class: kind ? `spa-${kind}` : null, "data-key": `vector-${number}`,
        "aria-label": `Vector ${number + 1}${kind ? `: without it, ${VERDICTS[kind].slice(2)}` : ""}`,
      });
    });
    return [
      make("div", { class: "spa-picks spa-numbers-picked" }, ...choices),
      make("div", { class: "spa-does" },
        button("Switch it off", one, { class: "spa-do", disabled: !ready || state.vector === null, "data-key": "off" }),
        button(busy ? "Trying …" : "Try each of them", each, { disabled: !ready, "data-key": "each" })),
    ];
  }

  function home() {
    return [make("div", { class: "spa-does" },
      button("Copy link to this demo", () => {}, { "data-show": "copy", "data-key": "copy" }),
      button("Tell it again", () => begin(), { "data-key": "again" }))];
  }

  // --- the card, and what it points at -------------------------------------------------------------

  const card = make("div", { id: "spa-story", hidden: true, role: "dialog", "aria-label": "The story" });
  const ring = make("div", { id: "spa-story-ring", hidden: true, "aria-hidden": "true" });

  function paint() {
    if (at < 0) return;
    const focused = card.contains(document.activeElement) && document.activeElement.dataset.key;
    const last = at === STEPS.length - 1;
    card.classList.toggle("spa-asking", Boolean(step().body && step().asks && step().asks !== "nothing"));
    const number = last ? "The end" : `${at + 1} of ${STEPS.length - 1}`;
    card.replaceChildren(
      make("div", { class: "spa-story-head" }, make("small", {}, number), make("h2", {}, step().title),
        button("×", close, { class: "spa-close", "aria-label": "Leave the story", "data-key": "close" })),
      make("p", { role: "status" }, step().text(told())),
      make("div", { class: "spa-story-body" }, ...(step().body?.(told()) || [])),
      make("div", { class: "spa-story-keys" },
        button("Back", back, { disabled: at === 0, "data-key": "back" }),
        make("span", { class: "spa-steps", "aria-hidden": "true" }, ...STEPS.map((_, i) => make("i", { class: i <= at ? "spa-past" : null }))),
        button(step().next, next, { class: "spa-next", "data-key": "next" })),
    );
    if (focused) card.querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
    point();
  }

  const pointed = () => [step().at].flat().map((one) => document.querySelector(one)).find((one) => one?.offsetParent);
  function point() {
    const staged = window.spaStage.on(), target = !staged && at >= 0 && pointed();
    ring.hidden = !target;
    if (!target) return;
    ring.classList.toggle("spa-clear", Boolean(step().clear));
    const { left, top, width, height } = target.getBoundingClientRect();
    Object.assign(ring.style, { left: `${left - 6}px`, top: `${top - 6}px`, width: `${width + 12}px`, height: `${height + 12}px` });
    const right = left + width / 2 > innerWidth / 2; // the card keeps out of its way
    card.classList.toggle("spa-left", right);
  }

  const bring = () => { // what is pointed at into view
    const target = at >= 0 && !window.spaStage.on() && pointed();
    if (!target) return;
    const { top, bottom } = target.getBoundingClientRect(), room = innerWidth < 721 ? innerHeight / 2 : innerHeight;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (top < 0 || bottom > room) target.scrollIntoView({ block: innerWidth < 721 ? "start" : "center", behavior: calm ? "auto" : "smooth" });
    point();
  };

  const show = (first) => {
    card.hidden = false;
    const staged = window.spaStage.on();
    (staged ? window.spaStage.story : document.querySelector(".gradio-container")).append(card);
    if (!staged) document.querySelector(".gradio-container").append(ring);
    document.documentElement.classList.add("spa-telling");
    document.getElementById(`spa-tab-${step().tab}-button`)?.click();
    if (staged) window.spaStage.scene(step().scene);
    paint();
    if (first) card.querySelector(".spa-next").focus({ preventScroll: true });
    for (const soon of [60, 500, 1500]) setTimeout(bring, soon); // once the tab is drawn
    if (step().asks) document.dispatchEvent(new CustomEvent("spa-asks", { detail: step().asks }));
  };

  const address = () => {
    const now = new URL(location.href);
    if (at < 0) now.searchParams.delete("story");
    else now.searchParams.set("story", at + 1);
    if (now.href !== location.href) history.replaceState(history.state, "", now);
  };
  const go = (number) => {
    const guesses = window.spaRoom.counts.asks.find((one) => one.name === "guess");
    if (guesses?.tally.length) keep({ crowd: guesses.tally });
    at = Math.max(0, Math.min(STEPS.length - 1, number));
    address();
    show(true);
  };
  function next() {
    if (at === STEPS.length - 1) close();
    else go(at + 1);
    if (step()?.name === "train" && facts && !facts.episodes && !facts.run) document.getElementById("spa-train")?.click();
  }
  function back() { if (at > 0) go(at - 1); }
  function close() {
    const focus = document.activeElement;
    const lost = focus === document.body || card.contains(focus);
    at = -1;
    card.hidden = ring.hidden = true;
    if (lost && !window.spaStage.on()) document.querySelector('[data-show="story"]')?.focus({ preventScroll: true });
    document.documentElement.classList.remove("spa-telling");
    address();
  }
  function begin() {
    sessionStorage.removeItem("spa-story");
    state = { ...FRESH };
    window.spaAddress.begin(DEMO);
    go(0);
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest?.('[data-show="story"]')) begin();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("textarea")) return;
    if (at < 0 && !window.spaStage.on()) return;
    if (event.key === "PageDown") { if (at < 0) begin(); else next(); }
    else if (event.key === "PageUp") back();
    else if (event.key === "Escape" && !window.spaStage.on()) close();
    else return;
    event.preventDefault();
  });
  document.addEventListener("spa-facts", ({ detail }) => {
    facts = detail;
    if (!card.querySelector("input:active")) paint(); // a marker that is dragged stays in the hand
  });
  document.addEventListener("spa-stage", () => { if (at >= 0) show(true); });
  addEventListener("scroll", point, { passive: true, capture: true });
  addEventListener("resize", point);

  // A link that says story=1 begins it; a reload comes back to where it was.
  document.addEventListener("spa-facts", () => {
    const asked = new URL(location.href).searchParams.get("story");
    if (asked === null) return;
    const number = Number(asked);
    const known = sessionStorage.getItem("spa-story") !== null || number > 1;
    if (known && number >= 1 && number <= STEPS.length && number % 1 === 0) go(number - 1);
    else begin();
    keep({});
  }, { once: true });
})();
