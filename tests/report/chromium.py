"""A real browser for tests, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EVIL = "</script><script>document.title = 'evil'</script><img src=x onerror=\"document.title='evil'\"> needle"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Any]:
    """An installed Chromium driven by playwright; skips the test, and says what is missing, where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'aista[browser]'")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no Chromium found, looked for {', '.join(NAMES)}: apt-get install chromium")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page opened from a file, with everything that it complained about or asked for."""

    def __init__(self, browser: Any, file: Path, width: int = 1200, scheme: str = "light") -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.route("**/*", self._route)
        self.own = file.resolve().as_uri()
        self.page.goto(self.own, wait_until="load")

    def _route(self, route: Any) -> None:
        url = route.request.url
        if url == self.own or url.startswith("data:"):
            route.continue_()
        else:
            self.requests.append(url)
            route.abort()
