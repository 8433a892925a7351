"""The look of the pages, measured in a real browser: contrast, overflow, focus, jumps, long conversations and long passages."""

import copy
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.settings import Settings
from graph.api import run
from graph.services import Services
from graph.state import Context
from store.runs import Run, record, thread_runs
from tests.conftest import TINY, close
from tests.llms.wire import PAUSE_S, serve
from tests.ui.serving import CHROMIUM, NEEDS_CHROMIUM, serving
from ui.transcript import answer_markdown, conversation_json, conversation_markdown

pytestmark = NEEDS_CHROMIUM
AUDIT = Path(__file__).with_name("audit.js").read_text(encoding="utf-8")
QUESTION = "How long does green tea steep?"
WINDOWS = [(1440, 900), (390, 844)]
PAGES = ["/", "/?thread=hundred", "/?thread=long", "/lab", "/evaluation", "/models", "/runs"]
TABLE = "| " + " | ".join("abcdefgh") + " |\n|" + "---|" * 8 + "\n|" + " 1234567890 |" * 8
LONG_ANSWER = f"\n\n{TABLE}\n\n```python\nx = {'1 + ' * 80}1  # a comment\n```\n\nhttps://example.org/{'a' * 200}"
FOCUSED = """() => {
  const element = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(element);
  return [(element.ariaLabel || element.innerText).replace(/\\s+/g, " "), outlineStyle === "solid" && outlineWidth === "2px"];
}"""
"""The name of what has the focus, and whether one sees it."""
SHIFTS = """() => {
  window.shifts = [];
  const seen = new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.shifts.push(entry.value)));
  seen.observe({ type: "layout-shift" });
}"""
LARGEST_SHIFT = 0.1
"""Of one frame; a word that wraps makes about 0.02. https://web.dev/articles/cls calls a page with 0.1 in all good."""


@pytest.fixture(scope="module")
def wire() -> Iterator[Any]:
    """A hosted model that writes slowly."""
    with pytest.MonkeyPatch.context() as patch, serve("openai", "slow") as server:
        patch.setitem(PAUSE_S, "slow", 0.03)
        yield server


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, encoder_cache: Path) -> Iterator[tuple[Settings, dict[str, list[Run]]]]:
    """Settings, and the stored turns of two conversations: of a hundred turns, and of one that is long in every way."""
    root = tmp_path_factory.mktemp("look")
    shutil.copytree(TINY, root / "experts")
    (root / "indexes").mkdir()
    (root / "indexes" / ".encoder").symlink_to(encoder_cache, target_is_directory=True)
    chosen = Settings(home=root / "home", experts_dir=root / "experts", indexes_dir=root / "indexes")
    shared = Services(chosen)
    run(QUESTION, Context(), "one", shared)
    [first] = thread_runs(shared.engine, "one")
    for n in range(1, 101):
        record(shared.engine, f"Question {n}", {**first.answer, "run_id": uuid.uuid4().hex, "thread_id": "hundred"}, {}, None)
    record(shared.engine, "A verylongword" + "withoutspace" * 30 + "\nand lines" * 40, _long(first.answer), {}, None)
    stored = {name: thread_runs(shared.engine, name) for name in ("hundred", "long")}
    close(shared)
    yield chosen, stored


def _long(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with a wide table, wide code and a passage of 2,000 words, the quoted ones in its middle."""
    found = copy.deepcopy(answer) | {"run_id": uuid.uuid4().hex, "thread_id": "long", "answer": answer["answer"] + LONG_ANSWER}
    cited = found["citations"][0]
    cited["title"] = "Atitle" + "withoutspaces" * 12
    for passage in found["passages"]:
        if passage["id"] == cited["passage_id"]:
            passage["text"] = "word " * 1_000 + cited["quote"] + " word" * 1_000
    return found


@pytest.fixture(scope="module")
def address(told: tuple[Settings, Any], wire: Any) -> Iterator[str]:
    """The chat over the tiny experts and those conversations."""
    models = {"SWITCHYARD_INFERIOR": "local:reader", "SWITCHYARD_SUPERIOR": "local:deep-reader"}
    with serving(told[0], {**models, "OPENAI_API_KEY": "of-a-test", "OPENAI_BASE_URL": wire.url}) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        yield (found := playwright.chromium.launch(executable_path=str(CHROMIUM)))
        found.close()
    expect.set_options(timeout=5_000)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """An empty page; nothing that it loads may come from elsewhere, and no script may fail."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce", base_url=address)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    found, faults = context.new_page(), []
    found.set_default_timeout(60_000)
    found.on("request", lambda request: None if request.url.startswith((address, "data:", "blob:")) else faults.append(request.url))
    found.on("pageerror", lambda error: faults.append(str(error)))
    # Opened below the root, Streamlit first looks for its server there: /lab/_stcore/health, which is not found.
    found.on("console", lambda said: faults.append(said.text) if said.type == "error" and "404" not in said.text else None)
    yield found
    context.close()
    assert faults == []


def at_rest(page: Page) -> None:
    """Wait until the page is drawn."""
    expect(page.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator(":is(.sy-hero, .sy-why, .lab-legend, .rp-head)").first).to_be_visible()
    page.wait_for_timeout(300)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_pale_and_nothing_reaches_out_of_the_window(page: Page, path: str) -> None:
    page.goto(path)
    at_rest(page)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert faults(page) == [], (width, scheme)


def faults(page: Page) -> list[str]:
    """What audit.js finds. It is asked again while it finds something, for a change of colours takes a moment."""
    for _ in range(12):
        page.wait_for_timeout(250)
        if not (found := page.evaluate(AUDIT)):
            break
    return found


def test_a_question_is_asked_and_its_answer_read_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_test_id("stChatInputTextArea")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator(".sy-why")).to_be_visible()
    at_rest(page)
    markers = page.locator("[data-testid=stMarkdown] a[href^='#source-']").all_inner_texts()
    sources = page.locator(".sy-sources .sy-title").all_inner_texts()
    assert (markers[0], sources[0]) == ("1", "Brewing a Cup: Time")
    names = [*markers, *sources, "How this answer came about", "Copy", "Thumbs up", "Correct"]
    page.locator(".sy-question").focus()
    reached = []
    for _ in names:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    assert [(name in said, ring) for name, (said, ring) in zip(names, reached, strict=True)] == [(True, True)] * len(names)


def test_a_source_opens_at_the_words_that_the_answer_rests_on(page: Page, told: tuple[Settings, dict[str, list[Run]]]) -> None:
    page.goto("/?thread=long")
    at_rest(page)
    page.locator(".sy-fold > summary").first.press("Enter")
    passage = page.locator(".sy-passage").first
    expect(passage.locator("mark")).to_have_text(told[1]["long"][0].answer["citations"][0]["quote"])
    page.wait_for_function("document.querySelector('.sy-passage').scrollTop > 0")
    box, words = passage.bounding_box(), passage.locator("mark").bounding_box()
    assert box and words
    assert box["y"] <= words["y"] <= words["y"] + words["height"] <= box["y"] + box["height"]


def test_an_answer_is_copied_and_a_conversation_taken_along(page: Page, told: tuple[Settings, dict[str, list[Run]]]) -> None:
    turns = told[1]["long"]
    page.goto("/?thread=long")
    at_rest(page)
    copied = page.locator(".sy-copy")
    copied.press("Enter")
    expect(copied).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == answer_markdown(turns[0].answer)
    assert "**Sources**" in answer_markdown(turns[0].answer)
    for name, text in {"Markdown": conversation_markdown(turns, {"tea": "Tea"}), "JSON": json.dumps(conversation_json(turns))}.items():
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        saved = Path(download.value.path()).read_text(encoding="utf-8")
        assert (json.loads(saved) == json.loads(text)) if name == "JSON" else (saved == text)


def test_a_long_answer_is_shown_from_its_beginning(page: Page) -> None:
    page.goto("/?thread=long")
    at_rest(page)
    page.wait_for_timeout(1_700)
    log, question = page.locator(".st-key-log").bounding_box(), page.locator(".sy-question").bounding_box()
    assert log and question
    assert 0 <= question["y"] - log["y"] <= 20


def test_a_long_conversation_opens_at_its_end_and_shows_earlier_turns_in_place(page: Page) -> None:
    page.goto("/?thread=hundred")
    at_rest(page)
    questions = page.locator(".sy-question")
    assert questions.all_inner_texts() == [f"Question {n}" for n in range(81, 101)]
    expect(questions.last).to_be_in_viewport()
    page.locator(".st-key-log").hover()
    page.mouse.wheel(0, -100_000)
    expect(questions.first).to_be_in_viewport()
    page.get_by_role("button", name="Show earlier turns (80)").press("Enter")
    expect(questions).to_have_count(40)
    page.wait_for_timeout(1_700)
    expect(page.get_by_text("Question 81", exact=True)).to_be_in_viewport()
    expect(page.get_by_text("Question 61", exact=True)).not_to_be_in_viewport()


def test_nothing_jumps_while_an_answer_streams(page: Page) -> None:
    page.goto("/")
    at_rest(page)
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="openai:gpt-5-mini").click()
    page.set_viewport_size({"width": 390, "height": 844})
    at_rest(page)
    page.evaluate(SHIFTS)
    field = page.get_by_test_id("stChatInputTextArea")
    field.fill(QUESTION)
    field.press("Enter")
    page.locator("[data-testid=stChatMessage] [data-testid=stMarkdown]").wait_for()
    page.locator(".sy-why").wait_for()
    at_rest(page)
    assert 0 < max(page.evaluate("window.shifts")) < LARGEST_SHIFT


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_a_wide_table_does_not_drag_the_conversation_along(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto("/?thread=long")
    at_rest(page)
    log, table = page.locator(".st-key-log"), page.locator("[data-testid=stMarkdown] table")
    wider = "element => element.scrollWidth > element.clientWidth"
    assert (log.evaluate(wider), table.evaluate(wider)) == (False, True)


def test_on_a_phone_the_sidebar_makes_way_for_what_is_chosen_in_it(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/runs")
    at_rest(page)
    chosen = [page.get_by_role("link", name="Models"), page.get_by_role("link", name="Chat")]
    chosen += [page.get_by_role("button", name="Question 1").first, page.get_by_role("button", name="New chat")]
    for one in chosen:
        page.get_by_test_id("stExpandSidebarButton").click()
        one.click()
        expect(one).not_to_be_in_viewport()
        at_rest(page)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_text("Review the route").click()
    at_rest(page)
    expect(chosen[-1]).to_be_in_viewport()


def test_beside_the_sidebar_a_run_keeps_room_for_its_question(page: Page) -> None:
    page.set_viewport_size({"width": 820, "height": 1100})
    page.goto("/runs")
    at_rest(page)
    table, question = page.locator(".rp-scroll").bounding_box(), page.locator(".rp-scroll tbody th").first.bounding_box()
    assert table and question
    assert question["width"] > 0.8 * table["width"]


def test_an_answer_is_completed_while_another_one_is_rated(page: Page) -> None:
    page.goto("/?thread=one")
    at_rest(page)
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="openai:gpt-5-mini").click()
    at_rest(page)
    field = page.get_by_test_id("stChatInputTextArea")
    field.fill("How long does black tea steep?")
    field.press("Enter")
    expect(page.locator(".sy-working")).to_be_visible()
    page.get_by_role("radio", name="Thumbs up").first.click()
    page.get_by_text("Review the route").click()
    expect(page.locator(".sy-why")).to_have_count(2)
    expect(page.locator(".sy-said").first).to_have_text("Saved, thank you")
    expect(page.get_by_role("switch", name="Review the route")).to_be_checked()
