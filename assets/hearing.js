// For who does not see the page, or has no mouse: what happens is announced, and the focus is never
// lost with a button that is switched off or drawn anew.
(() => {
  const text = (node) => (node?.innerText || "").replace(/\s+/g, " ").trim();

  // --- announced politely, at most once a second -----------------------------------------------------

  const announcer = document.createElement("div");
  announcer.id = "spa-announcer";
  announcer.setAttribute("aria-live", "polite");
  announcer.className = "spa-unseen";
  const said = {};
  const say = (what, words) => {
    if (!words || said[what] === words) return;
    said[what] = words;
    const line = document.createElement("p");
    line.textContent = words;
    announcer.append(line);
    while (announcer.childElementCount > 3) announcer.firstChild.remove();
  };
  const answers = () => {
    const cards = [...document.querySelectorAll("#spa-answers .spa-answer:not(.spa-absent)")];
    if (!cards.length || cards.some((card) => card.matches(".spa-writing"))) return "";
    return cards.map((card) => `${card.dataset.name}: ${text(card.querySelector(".spa-verdict"))}, `
      + text(card.querySelector(".spa-completion"))).join(". ");
  };
  const progress = () => {
    const bar = document.querySelector('#spa-progress [role="progressbar"]');
    if (!bar) return "";
    const quarter = Math.floor((4 * bar.ariaValueNow) / bar.ariaValueMax);
    return quarter ? `${25 * quarter} % of ${bar.ariaValueMax} episodes` : "";
  };
  const sliders = () => {
    for (const slider of document.querySelectorAll('#spa-strength-slider input[type="range"]')) {
      slider.setAttribute("aria-valuetext", `${Math.round(100 * slider.value)} %`);
    }
    for (const slider of document.querySelectorAll('#spa-moment input[type="range"]')) {
      const told = text(document.querySelector("#spa-watched")).match(/after \d+ episodes/)?.[0];
      if (told) slider.setAttribute("aria-valuetext", told);
    }
  };
  let waiting = false;
  const listen = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      say("hint", text(document.querySelector("#spa-hint .spa-hint span:last-child")));
      say("answers", answers());
      say("progress", progress());
      sliders();
    }, 1000);
  };

  // --- the focus -------------------------------------------------------------------------------------

  const PLACES = ".spa-panel, .spa-action, .tabitem, main, .gradio-container";
  const KEYS = ["action", "snapshot", "vector", "index", "mark"];
  let last = null; // what had the focus, and where it is to be found if it is drawn anew
  let parked = null; // what gets the focus back as soon as it can be used again
  const twin = ({ element, home }) => home && [...home.querySelectorAll(element.tagName)].find(
    (one) => KEYS.some((key) => element.dataset[key]) && KEYS.every((key) => one.dataset[key] === element.dataset[key]));
  document.addEventListener("focusin", ({ target }) => {
    const home = target.parentElement?.closest("[id^='spa-']");
    last = { element: target, home: home?.id ? home : null, around: ancestors(target) };
    if (parked && target !== parked.at) parked = null;
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (!target.closest("button, a, input, textarea, select, summary, label, [tabindex]")) last = parked = null;
  });
  const usable = (node) => node.isConnected && !node.disabled && node.checkVisibility();
  const ancestors = (node) => {
    const found = [];
    for (let one = node.parentElement; one && one !== document.body; one = one.parentElement) found.push(one);
    return found;
  };
  const hold = () => {
    if (parked && document.activeElement === parked.at && usable(parked.element)) {
      const back = parked.element;
      parked = null;
      back.focus({ preventScroll: true });
      return;
    }
    if (!last || document.activeElement !== document.body) return;
    const { element, around } = last;
    if (usable(element)) return;
    const other = element.isConnected ? null : twin(last);
    if (other && !other.disabled) return other.focus({ preventScroll: true });
    for (const place of around) {
      if (!place.isConnected || !place.matches(PLACES)) continue;
      if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
      place.focus({ preventScroll: true });
      if (document.activeElement === place) {
        parked = { element: other || element, at: place };
        return;
      }
    }
  };

  let due = false;
  const arrival = new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      if (!announcer.isConnected) document.body.append(announcer);
      listen();
      hold();
    });
  });
  arrival.observe(document, {
    subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["disabled"],
  });
})();
