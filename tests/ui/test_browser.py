"""The pages in a real browser: a cited answer, its source, a route, and texts that try to run something."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from core.settings import Settings
from tests.ui.serving import CHROMIUM, NEEDS_CHROMIUM, serving

HOSTILE = """---
title: Harbour <img src=x onerror="window.hostile = 1"> tea
---
Harbour tea from Elbonia steeps for nine minutes <script>window.hostile = 2</script> in a tin ![cup](http://127.0.0.1:9/cup.png).
"""
pytestmark = NEEDS_CHROMIUM


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """For a page on a busy machine."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture
def address(own_experts: Settings) -> Iterator[str]:
    """The chat over the tiny experts and a hostile document."""
    (own_experts.experts_dir / "tea" / "corpus" / "harbour.md").write_text(HOSTILE, encoding="utf-8")
    with serving(own_experts) as address:
        yield address


def test_a_question_is_answered_with_a_source_and_nothing_hostile_runs(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    elsewhere: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(60_000)
        page.on("request", lambda request: None if request.url.startswith((address, "data:", "blob:")) else elsewhere.append(request.url))
        page.goto(address)
        field = page.get_by_test_id("stChatInputTextArea")
        field.fill("How long does harbour tea from Elbonia steep?")
        field.press("Enter")
        expect(page.locator(".sy-sources").first).to_be_visible(timeout=90_000)
        marker = page.locator("a[href^='#source-']").first
        expect(marker).to_have_text("1")
        expect(page.get_by_test_id("stMarkdown").first).to_contain_text("steeps for nine minutes <script>window.hostile = 2</script>")

        passage = page.locator(".sy-passage").first
        expect(passage).not_to_be_visible()
        marker.click()
        expect(passage.locator("mark")).to_contain_text("Harbour tea from Elbonia steeps for nine minutes")
        expect(passage).to_be_visible()
        expect(page.locator(".sy-title").first).to_contain_text("Harbour <img src=x")
        assert "thread=" in page.url

        assert page.evaluate("window.hostile") is None
        assert page.locator("[data-testid=stChatMessage] :is(script, img)").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        browser.close()
    assert elsewhere == []


def test_a_route_is_shown_with_the_keyboard_alone_and_nothing_hostile_runs(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    elsewhere: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(60_000)
        page.on("request", lambda request: None if request.url.startswith((address, "data:", "blob:")) else elsewhere.append(request.url))
        page.goto(f"{address}/lab")
        field = page.get_by_role("textbox", name="Prompt")
        field.fill("<img src=x onerror='window.hostile = 3'> harbour tea from Elbonia")
        field.press("Control+Enter")
        expect(page.locator(".lab-decision")).to_contain_text("Goes to Tea", timeout=90_000)
        expect(page.locator(".lab-card").first).to_contain_text("Similarity")

        # Whatever is still drawn would take the tooltip away.
        expect(page.locator(".lab-list, .lab-none").last).to_be_attached()
        expect(page.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning")
        star = page.locator("svg.marks path[stroke='#ffffff']")
        star.scroll_into_view_if_needed(timeout=60_000)
        expect(star).to_have_attribute("aria-label", "<img src=x onerror='window.hostile = 3'> harbour tea from Elbonia")
        star.hover()
        expect(page.locator("#vg-tooltip-element .value").first).to_contain_text("<img src=x")

        assert page.evaluate("window.hostile") is None
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth") == 390
        browser.close()
    assert elsewhere == []


def test_an_answer_is_rated_and_corrected_with_the_keyboard_alone(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(60_000)
        page.goto(address)
        field = page.get_by_test_id("stChatInputTextArea")
        field.fill("How long does green tea steep?")
        field.press("Enter")
        thumb, said = page.get_by_role("radio", name="Thumbs down"), page.locator(".sy-said")
        expect(page.get_by_role("radio", name="Thumbs up")).to_be_visible(timeout=90_000)
        # Else the keys might meet a widget that is just drawn anew.
        expect(page.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning")
        page.get_by_role("radio", name="Thumbs up").press("ArrowRight")
        page.keyboard.press("Enter")
        expect(said).to_have_text("Saved, thank you", timeout=60_000)
        expect(thumb).to_have_attribute("aria-checked", "true")

        page.get_by_role("button", name="Correct").press("Enter")
        better = page.get_by_label("A better answer")
        better.fill("Three minutes.")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        better.press("Escape")
        expect(better).to_have_count(0)
        page.wait_for_timeout(500)
        expect(page.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=60_000)
        page.reload()
        expect(said).to_have_text("Saved, thank you", timeout=60_000)
        page.get_by_role("button", name="Correct").press("Enter")
        expect(page.get_by_label("A better answer")).to_have_value("Three minutes.")
        browser.close()


def test_a_conversation_that_cannot_be_deleted_stays_and_says_why(address: str, own_experts: Settings) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(address)
        field = page.get_by_test_id("stChatInputTextArea")
        field.fill("How long does green tea steep?")
        field.press("Enter")
        expect(page.locator(".sy-why")).to_be_visible(timeout=90_000)
        page.get_by_role("button", name="Delete").click()
        dialog = page.get_by_role("dialog")
        with closing(sqlite3.connect(own_experts.home / "switchyard.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            dialog.get_by_role("button", name="Delete").click()
            expect(page.get_by_test_id("stToast")).to_contain_text("It was not deleted. The database failed: database is locked.")
        expect(dialog).to_have_count(0)
        expect(page.locator(".sy-why")).to_be_visible()
        browser.close()


def test_a_route_that_waits_is_still_there_after_a_reload(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(address)
        page.get_by_text("Review the route").click()
        field = page.get_by_test_id("stChatInputTextArea")
        field.fill("How long does green tea steep?")
        field.press("Enter")
        asked = page.get_by_text("This would go to Tea. Who should answer?")
        expect(asked).to_be_visible(timeout=90_000)
        page.reload()
        expect(asked).to_be_visible(timeout=60_000)
        expect(page.locator(".sy-question")).to_have_text("How long does green tea steep?")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator(".sy-why")).to_be_visible(timeout=60_000)
        expect(asked).to_have_count(0)
        browser.close()
