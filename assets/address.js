// The address is the demo: what the lesson is at is written into it, as the server tells in the
// facts; whoever wants the facts hears "spa-facts". spaAddress.link() is the link to give away.
(() => {
  const KEPT = ["seed", "problem", "question", "answer", "format", "signal"]; // what facts decide
  const CHOSEN = [["family", "any"], ["difficulty", 0], ["episodes", 80]]; // in this order, by default
  let facts = null, was = null;

  const write = () => {
    if (!facts) return;
    const address = new URL(location.href);
    for (const name of KEPT) {
      const value = facts.address[name];
      if (value) address.searchParams.set(name, value);
      else address.searchParams.delete(name);
    }
    if (was && was !== facts.model && address.searchParams.has("model")) address.searchParams.set("model", facts.model);
    was = facts.model; // a link to one that still loads stays as it is
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  };

  let chosen = null;
  const choose = (values) => {
    chosen = values;
    const address = new URL(location.href);
    CHOSEN.forEach(([name, plain], i) => {
      if (values[i] === plain || values[i] === null) address.searchParams.delete(name);
      else address.searchParams.set(name, values[i]);
    });
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  };

  const link = () => {
    write(); // and nothing else of this address goes along: it may hold a secret
    const here = new URL(location.href), address = new URL(location.origin + location.pathname);
    for (const name of [...KEPT, ...CHOSEN.map(([name]) => name), "tab"]) {
      if (here.searchParams.has(name)) address.searchParams.set(name, here.searchParams.get(name));
    }
    if (facts) address.searchParams.set("model", facts.model);
    if (here.searchParams.has("story")) address.searchParams.set("story", 1); // from its beginning
    return address.href;
  };

  const begin = (demo) => {
    window.spaAddress.demo = demo;
    document.getElementById("spa-begin")?.click();
  };

  // What a browser without a secure context cannot copy is left selected in a box.
  const copy = async (button) => {
    const text = link();
    const say = (words) => {
      const before = button.textContent;
      button.textContent = words;
      setTimeout(() => { button.textContent = before; }, 2500);
    };
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      window.prompt("Copy this link:", text);
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.('[data-show="copy"]');
    if (button) copy(button);
  });
  window.addEventListener("popstate", () => setTimeout(() => { // an older address says older things
    write();
    if (chosen) choose(chosen);
  }));

  let seen = "";
  const look = () => {
    const told = document.querySelector("#spa-facts [data-facts]")?.dataset.facts;
    if (!told || told === seen) return;
    seen = told;
    facts = JSON.parse(told);
    write();
    document.dispatchEvent(new CustomEvent("spa-facts", { detail: facts }));
  };
  const arrival = new MutationObserver(() => {
    const place = document.getElementById("spa-facts");
    if (!place) return;
    arrival.disconnect();
    new MutationObserver(look).observe(place, { childList: true, subtree: true, attributes: true });
    look();
  });
  arrival.observe(document, { childList: true, subtree: true });

  window.spaAddress = { link, begin, choose, demo: "", get facts() { return facts; } };
})();
