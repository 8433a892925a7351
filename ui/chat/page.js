// What the pages do in the browser by themselves: copy an answer, keep the last turn in view, show a cited sentence, make way on a phone. It
// reads nothing but this page, and is started once, however often Streamlit draws it.
(() => {
  if (window.switchyard) return;
  window.switchyard = true;
  const SETTLING_MS = 1500, SAID_MS = 2000, MARGIN_PX = 16;
  const FIELD = "[data-testid=stChatInputTextArea]";
  const log = () => document.querySelector(".st-key-log");

  // While Streamlit still draws, heights grow: keep to a place, (box) => scrollTop, until the reader takes over.
  let held = 0;
  function hold(place) {
    const own = ++held;
    let until = 0, height = 0;
    (function again() {
      const box = log(), running = document.querySelector(".stApp[data-test-script-state=running]");
      if (own !== held || !box) return;
      if (running || box.scrollHeight !== height) until = performance.now() + SETTLING_MS;
      if (performance.now() > until) return;
      height = box.scrollHeight;
      box.scrollTop = place(box);
      requestAnimationFrame(again);
    })();
  }
  const end = (box) => box.scrollHeight - box.clientHeight;
  // The end of the conversation, but never past the beginning of its last turn: what must not wait stands there.
  function latest(box) {
    const question = [...box.querySelectorAll(".sy-question")].at(-1);
    const above = question ? question.getBoundingClientRect().top - box.getBoundingClientRect().top - MARGIN_PX : 0;
    return question ? Math.min(end(box), box.scrollTop + above) : end(box);
  }
  const typing = ({ type, target }) => type === "keydown" && target.matches?.(FIELD);
  for (const taken of ["wheel", "touchmove", "keydown", "pointerdown"]) {
    addEventListener(taken, (event) => typing(event) || held++, { capture: true, passive: true });
  }

  // A conversation opens at its last turn, ready for the next question; a touch screen's keyboard is not called up for it.
  let opened, asked, expected = false;
  new MutationObserver(() => {
    const { thread, asking } = document.querySelector(".sy-opened")?.dataset ?? {};
    // A new conversation gets its name with its first answer: that moves nothing.
    const turned = thread !== opened && !(opened === "" && asked);
    if (thread !== opened) expected = thread !== undefined && matchMedia("(pointer: fine)").matches;
    if ((turned && thread && !location.hash) || (asking && !asked)) hold(latest);
    [opened, asked] = [thread, asking];
    const field = expected && document.querySelector(FIELD), active = document.activeElement;
    if (!field) return;
    expected = false;
    if (active === document.body || active.closest("[data-testid=stSidebar]")) field.focus({ preventScroll: true });
  }).observe(document.body, { childList: true, subtree: true });

  addEventListener("click", async ({ target }) => {
    const box = log();
    if (target.closest?.(".st-key-earlier button")) {
      const left = end(box) - box.scrollTop;
      hold((box) => end(box) - left);
    }
    const button = target.closest?.(".sy-copy");
    if (!button) return;
    const done = await copy(decodeURIComponent(button.dataset.text));
    const label = button.querySelector("span");
    label.textContent = done ? "Copied" : "Not copied: select it instead";
    setTimeout(() => (label.textContent = "Copy"), SAID_MS);
  });

  // Where the sidebar lies over the page, as on a phone, it goes when something to look at was chosen in it.
  const CHOSEN = "[class*=st-key-open-] button, .st-key-new-chat button, .st-key-pages a";
  addEventListener("click", ({ target }) => {
    const sidebar = target.closest?.(CHOSEN)?.closest("[data-testid=stSidebar]"), page = document.querySelector(".stMain");
    if (!sidebar || page.getBoundingClientRect().left + 1 > sidebar.getBoundingClientRect().right) return;
    sidebar.querySelector("[data-testid=stSidebarCollapseButton] button")?.click();
  });

  // Streamlit takes a text when its field is left. Escape closes the correction without leaving it first.
  addEventListener("keydown", ({ key, target }) => {
    if (key === "Escape" && target.matches?.("[data-testid=stPopoverBody] textarea")) target.blur();
  }, true);

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
