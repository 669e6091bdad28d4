// The values of a picture, one at a time: under the mouse, by a tap, or by the arrow keys.
(() => {
  const PICTURE = '[role="img"][tabindex]';
  const TWIN_MS = 500;
  const note = document.createElement("p");
  note.id = "spa-value";
  note.setAttribute("role", "status");
  note.hidden = true;
  document.addEventListener("DOMContentLoaded", () => document.body.append(note));
  if (document.body) document.body.append(note);

  let shown = null; // the picture that it belongs to, and which of its values
  const valuesOf = (picture) => [...picture.querySelectorAll(".spa-hover")];
  const hide = () => {
    note.hidden = true;
    shown = null;
  };
  const show = (picture, place) => {
    const values = valuesOf(picture);
    const at = values[Math.max(0, Math.min(place, values.length - 1))];
    if (!at) return hide();
    shown = { picture, place: values.indexOf(at) };
    note.textContent = at.dataset.words;
    note.hidden = false;
    const { left, width, top, height } = at.getBoundingClientRect();
    const x = left + width / 2 - note.offsetWidth / 2;
    const above = top - note.offsetHeight - 6;
    note.style.left = `${Math.max(8, Math.min(x, innerWidth - note.offsetWidth - 8))}px`;
    note.style.top = `${above < 8 ? top + height + 6 : above}px`;
  };

  const pointed = ({ target, type }) => {
    const value = target.closest?.(".spa-hover");
    const picture = value?.closest('[role="img"]');
    if (picture) show(picture, valuesOf(picture).indexOf(value));
    else if (type === "pointerdown" || document.activeElement !== shown?.picture) hide();
  };
  document.addEventListener("pointermove", pointed, { passive: true }); // a page that moves under a mouse at rest points at nothing
  document.addEventListener("pointerdown", pointed);
  // A picture that is drawn anew while it has the focus gives it to its twin, with the same value.
  let left = null;
  document.addEventListener("focusout", () => {
    left = shown && { place: shown.place, at: performance.now() };
    hide();
  });
  document.addEventListener("focusin", ({ target }) => {
    if (left && performance.now() - left.at < TWIN_MS && target.matches?.(PICTURE)) show(target, left.place);
    left = null;
  });
  document.addEventListener("scroll", () => shown && show(shown.picture, shown.place), { capture: true, passive: true });
  document.addEventListener("keydown", (event) => {
    const picture = event.target.closest?.(PICTURE);
    if (!picture || event.ctrlKey || event.metaKey || event.altKey) return;
    const now = shown?.picture === picture ? shown.place : -1;
    const last = valuesOf(picture).length - 1;
    const next = { ArrowRight: now + 1, ArrowLeft: now < 0 ? last : now - 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape" && shown) hide();
    else if (event.key === "Enter" && now >= 0) valuesOf(picture)[now].click();
    else if (next === undefined) return;
    else show(picture, next);
    event.preventDefault();
    event.stopPropagation(); // they are no keys of the stage meanwhile
  }, { capture: true });
})();
