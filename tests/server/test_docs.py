"""The page of the documentation: read, tried and blocked in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.graph.conftest import Table
from tests.server.conftest import Running

CHROMIUM = Path("/usr/bin/chromium")
Serve = Callable[..., Running]
Make = Callable[..., Table]


def test_the_page_is_all_here(serve: Serve, table: Make) -> None:
    on = serve(table([]).services)
    on.key("ann")  # the page tells nobody anything: it needs no key
    page = on.http.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded == ["docs/swagger-ui.css", "docs/favicon-32x32.png", "docs/swagger-ui-bundle.js", "docs/start.js"]
    assert "<script>" not in page.text and "//" not in page.text
    kinds = {name: (r.status_code, r.headers["content-type"].split(";")[0]) for name in loaded for r in [on.http.get(f"/{name}")]}
    assert kinds == {
        "docs/swagger-ui.css": (200, "text/css"),
        "docs/favicon-32x32.png": (200, "image/png"),
        "docs/swagger-ui-bundle.js": (200, "text/javascript"),
        "docs/start.js": (200, "text/javascript"),
    }
    for other in ("__init__.py", "..%2f__init__.py", "%2fetc%2fpasswd"):
        assert on.http.get(f"/docs/{other}").status_code == 404
    described = on.http.get("/openapi.json").json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert described["paths"]["/v1/threads"]["get"]["security"] == [{"HTTPBearer": []}]


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists() and "CI" not in os.environ, reason="needs Debian's chromium: apt-get install chromium")
def test_a_route_is_tried_in_a_browser_that_reaches_nothing_else(serve: Serve, table: Make) -> None:
    from playwright.sync_api import expect, sync_playwright

    on = serve(table([]).services)
    elsewhere: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=str(CHROMIUM)).new_page()
        page.on("request", lambda request: None if request.url.startswith((on.url, "data:")) else elsewhere.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.goto(f"{on.url}/docs")
        health = page.locator("#operations-health-healthz_healthz_get")
        health.click(timeout=60_000)
        health.get_by_role("button", name="Try it out").click()
        health.get_by_role("button", name="Execute").click()
        expect(health.locator(".live-responses-table td.response-col_status").last).to_contain_text("200", timeout=30_000)
        expect(page.get_by_role("button", name="Authorize")).to_be_visible()
        page.context.browser.close()
    assert (elsewhere, complaints) == ([], [])
