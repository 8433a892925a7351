// What the chat does in the browser by itself: copy an answer, open a conversation at its end, show a cited sentence. It reads nothing but
// this page, and is started once, however often Streamlit draws it.
(() => {
  if (window.switchyard) return;
  window.switchyard = true;
  const SETTLING_MS = 1500, ANSWERING_MS = 15000, SAID_MS = 2000;
  const FIELD = "[data-testid=stChatInputTextArea]";
  const log = () => document.querySelector(".st-key-log");

  // While Streamlit still draws, heights grow: keep the distance to the end, until the reader takes over.
  let held = 0;
  function hold(distance, patience) {
    const own = ++held;
    let until = performance.now() + patience, height = log()?.scrollHeight;
    (function again() {
      const box = log();
      if (own !== held || !box || performance.now() > until) return;
      if (box.scrollHeight !== height) until = performance.now() + SETTLING_MS;
      height = box.scrollHeight;
      box.scrollTop = box.scrollHeight - box.clientHeight - distance;
      requestAnimationFrame(again);
    })();
  }
  for (const taken of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(taken, () => held++, { capture: true, passive: true });

  // A conversation opens at its end, ready for the next question; a touch screen's keyboard is not called up for it.
  let opened, expected = false;
  new MutationObserver(() => {
    const now = document.querySelector(".sy-opened")?.dataset.thread;
    if (now !== opened) {
      opened = now;
      expected = now !== undefined && matchMedia("(pointer: fine)").matches;
      if (now && !location.hash) hold(0, SETTLING_MS);
    }
    const field = expected && document.querySelector(FIELD), active = document.activeElement;
    if (!field) return;
    expected = false;
    if (active === document.body || active.closest("[data-testid=stSidebar]")) field.focus({ preventScroll: true });
  }).observe(document.body, { childList: true, subtree: true });

  addEventListener("click", async ({ target }) => {
    const box = log();
    if (target.closest?.(".st-key-earlier button")) hold(box.scrollHeight - box.clientHeight - box.scrollTop, ANSWERING_MS);
    const button = target.closest?.(".sy-copy");
    if (!button) return;
    const done = await copy(decodeURIComponent(button.dataset.text));
    const label = button.querySelector("span");
    label.textContent = done ? "Copied" : "Not copied: select it instead";
    setTimeout(() => (label.textContent = "Copy"), SAID_MS);
  });

  // The clipboard's own interface is there on localhost and over HTTPS only.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = Object.assign(document.createElement("textarea"), { value: text, style: "position: fixed; opacity: 0" });
      const before = document.activeElement;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      before?.focus();
      return done;
    }
  }

  // A source that is unfolded shows the words that the answer rests on, however long its passage is.
  addEventListener("toggle", ({ target }) => {
    const box = target.open && target.querySelector(".sy-passage"), words = box && box.querySelector("mark");
    if (words) box.scrollTop += words.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 4;
  }, true);
})();
