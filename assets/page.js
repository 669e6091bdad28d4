// Tabs as the keyboard and the address know them: arrows move along them, ?tab= names the open one,
// and Back goes back to the one before.
(() => {
  const button = (name) => document.getElementById(`spa-tab-${name}-button`);
  const named = () => new URL(location.href).searchParams.get("tab") || "teach";
  const open = (name) => button(name)?.getAttribute("aria-selected") === "false" && button(name).click();

  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const tab = event.target.closest?.('[role="tab"]');
    if (!step || !tab) return;
    const tabs = [...tab.closest('[role="tablist"]').querySelectorAll('[role="tab"]:not(:disabled)')];
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
    event.preventDefault();
  });

  let going = false; // to the tab that the address names already
  document.addEventListener("click", (event) => {
    const name = event.target.closest?.('[role="tab"]')?.id.match(/^spa-tab-(.+)-button$/)?.[1];
    if (!name || going || name === named()) return;
    const address = new URL(location.href);
    address.searchParams.set("tab", name);
    history.pushState(history.state, "", address);
  });
  const go = () => {
    going = true;
    open(named());
    going = false;
  };
  window.addEventListener("popstate", go);
  const arrival = new MutationObserver(() => {
    if (!button("teach")) return;
    arrival.disconnect();
    go();
  });
  arrival.observe(document, { childList: true, subtree: true });
})();

// Gradio closes a page's stream when the last answer was sent. What is asked for at that very moment is
// answered too, but its page never opens the stream again, and so would wait for ever. So where the stream
// is found closed after something was asked for, at once or later on a slow machine, the page knocks: with
// that it hears what was said.
(() => {
  const LOOKS_MS = [1500, 4000, 10000]; // after the last that was asked for
  const ask = window.fetch;
  let listening = null; // the signal that ends the stream
  let looks = [];
  let knocking = false;
  const knock = () => {
    if (!listening?.aborted) return;
    knocking = true;
    setTimeout(() => { knocking = false; }, 1000);
    document.getElementById("spa-knock")?.click();
  };
  window.fetch = async (asked, how) => {
    const address = String(asked?.url || asked);
    if (address.includes("/queue/data?")) listening = how?.signal || asked.signal;
    const answer = await ask(asked, how);
    if (address.includes("/queue/join")) {
      if (!knocking) {
        looks.forEach(clearTimeout);
        looks = LOOKS_MS.map((soon) => setTimeout(knock, soon));
      }
      knocking = false;
    }
    return answer;
  };
})();
