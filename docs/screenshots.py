"""Makes the screenshots of the chat, the route lab and the runs in docs/images.

Run: python docs/screenshots.py
Needs Debian's chromium. The conversations are real ones, held in a folder of their own and thrown away.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
BEFORE = ("Does alcohol help you sleep?", "What does a grinding noise when braking mean?", "How does a hybrid save fuel?")
QUESTION = "Why did the Model T get cheaper every year?"
SPANNING = "Why do long drives make passengers sleepy?"
WIDE, TALL, NARROW = (1440, 860), (1440, 1640), (390, 1000)
LARGEST_BYTES = 300_000


@contextmanager
def application(home: Path) -> Iterator[str]:
    """The chat on a free port, its state in `home`; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "SWITCHYARD_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ui.cli", "ui", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/_stcore/health", process)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            urlopen(address, timeout=1).close()  # noqa: S310
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"Expected the chat to answer at {address} within {seconds:.0f} s; it did not. See the lines above.")


def ask(page: Page, question: str) -> None:
    """Type a question and wait for its answer."""
    answers = page.locator(".sy-why")
    before = answers.count()
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.get_by_test_id("stChatInputTextArea").press("Enter")
    problem = page.locator(".st-key-problem .sy-problem")
    answers.nth(before).or_(problem).first.wait_for(timeout=120_000)
    if problem.count():
        raise SystemExit(f"{question} {problem.inner_text()}")
    page.wait_for_timeout(500)


def converse(browser: Browser, address: str) -> str:
    """Hold a few conversations, and give the address of the last one."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    for question in BEFORE:
        ask(page, question)
        page.get_by_role("button", name="New chat").click()
        page.get_by_role("heading", name="Ask the right expert").wait_for()
        page.locator(".sy-why").wait_for(state="detached")
    ask(page, QUESTION)
    where = page.url
    page.close()
    return where


def shoot(browser: Browser, address: str, name: str, size: tuple[int, int], scheme: Literal["light", "dark"], *, background: bool) -> None:
    """Open the conversation, unfold its source, and perhaps how it came about, and save the picture."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    page.goto(address)
    page.locator(".sy-fold > summary").first.click(timeout=60_000)
    if background:
        page.locator(".sy-why > summary").click()
    save(page, name)


def shoot_lab(browser: Browser, address: str, name: str) -> None:
    """Route a question in the lab, and save the picture."""
    page = browser.new_page(viewport={"width": 1440, "height": 1815}, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{address}/lab")
    page.get_by_role("textbox", name="Prompt").fill(SPANNING)
    page.get_by_role("textbox", name="Prompt").press("Control+Enter")
    page.locator(".lab-decision").wait_for(timeout=120_000)
    page.locator("svg.marks").wait_for(timeout=120_000)
    page.get_by_label("Colliding pairs").wait_for(timeout=120_000)
    save(page, name)


def shoot_runs(browser: Browser, address: str, name: str) -> None:
    """Open the newest run from the list, and save the picture of its decision."""
    page = browser.new_page(viewport={"width": 1440, "height": 1380}, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{address}/runs")
    page.get_by_role("link", name=QUESTION).click(timeout=60_000)
    page.locator(".rp-back").wait_for(timeout=60_000)
    page.get_by_role("button", name="Download as JSON").wait_for(timeout=60_000)
    save(page, name)


def save(page: Page, name: str) -> None:
    """Take the picture of a page from its top, and close it. Exits when the file is too large for a README."""
    # Neither the focus ring nor the hover of the clicks is part of the picture.
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(page.viewport_size["width"] - 5, page.viewport_size["height"] // 2)
    page.mouse.wheel(0, -10_000)
    page.wait_for_timeout(500)
    path = IMAGES / name
    page.screenshot(path=path)
    page.close()
    if path.stat().st_size > LARGEST_BYTES:
        raise SystemExit(f"{path} is {path.stat().st_size:,} bytes; at most {LARGEST_BYTES:,} belong into a README.")


def main() -> None:
    """All pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as home, application(Path(home)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        conversation = converse(browser, address)
        shoot(browser, conversation, "chat.png", WIDE, "light", background=False)
        shoot(browser, conversation, "chat-dark.png", TALL, "dark", background=True)
        shoot(browser, conversation, "chat-narrow.png", NARROW, "light", background=False)
        shoot_lab(browser, address, "lab.png")
        shoot_runs(browser, address, "runs.png")
        browser.close()


if __name__ == "__main__":
    main()
