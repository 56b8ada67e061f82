"""A real Chromium, looking at the console of the server under test."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, ViewportSize, async_playwright, expect

from app.container import WorkerContainer, open_worker_container
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings
from tests.conftest import PASSWORD, Embed, embedding, serving
from tests.prefixes import forget

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
IMAGES = Path(__file__).parents[2] / "docs/images"
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
_TIMEOUT_MS = 15_000
SIZE: ViewportSize = {"width": 1280, "height": 800}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that writes the pictures of the documents."""
    parser.addoption("--write-screenshots", action="store_true", help="write docs/images/console-*.png")


@dataclass
class Seen:
    """The console in a browser, by somebody who has just come. complaints: what the browser said to developers."""

    page: Page
    root: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def open(self, name: str = "") -> None:
        """Open one of its pages by its address."""
        await self.page.goto(f"{self.root}/console#/{name}")
        await expect(self.page.locator("h1")).to_be_visible()

    async def go(self, title: str) -> None:
        """Open one of its pages by its navigation."""
        await self.page.get_by_role("navigation", name="Pages of the console").get_by_role("link", name=title).click()
        await expect(self.page.locator("h1")).to_have_text(title)

    async def sign_up(self) -> str:
        """As a new organisation; its e-mail."""
        email = f"{uuid.uuid4().hex[:8]}@example.com"
        await self.open()
        await self.page.get_by_role("button", name="Sign up").first.click()
        await self.page.get_by_label("Organisation").fill("Acme")
        await self.page.get_by_label("E-mail").fill(email)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("button", name="Sign up").last.click()
        await expect(self.page.locator("h1")).to_have_text("Search")
        return email

    async def remember(self, content: str, *, role: str = "user", tags: str = "") -> None:
        """By the form of the page that is open."""
        form = self.page.get_by_role("form", name="Remember something")
        await form.get_by_label("What was said").fill(content)
        await form.get_by_label("Role").fill(role)
        await form.get_by_label("Tags").fill(tags)
        async with self.page.expect_response("**/memory"):
            await form.get_by_role("button", name="Remember").click()
        await self.told("Remembered.")

    async def search(self, query: str) -> None:
        """On the page that searches."""
        await self.page.get_by_label("What to look for").fill(query)
        await self.page.get_by_role("search").get_by_role("button", name="Search").click()

    async def press(self, name: str, *, within: str = "main", yes: bool = False) -> None:
        """The first button of this name; yes: and in the question that follows."""
        await self.page.locator(within).get_by_role("button", name=name, exact=True).first.click()
        if yes:
            await self.page.locator("dialog[open]").get_by_role("button", name=name, exact=True).click()

    async def told(self, text: str) -> None:
        """Wait until it says so."""
        await expect(self.page.get_by_role("status").filter(has_text=text).first).to_be_visible()


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for the run."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    expect.set_options(timeout=_TIMEOUT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def console_worker(settings: Settings) -> AsyncIterator[WorkerContainer]:
    """A worker over indices of their own: what it delivers is what these tests caused. Receivers may be on loopback."""
    own = {"index_prefix": f"{settings.index_prefix}-c", "webhook_allowed_networks": "127.0.0.0/8"}
    changed = settings.model_copy(update=own)
    await migrate(changed)
    async with open_worker_container(changed) as container:
        yield container
        await forget(container.core.es, changed.index_prefix)


@pytest.fixture(scope="session")
def embed(console_worker: WorkerContainer) -> Embed:
    """Runs the real arq worker until nothing is due."""
    return embedding(console_worker.core.settings, console_worker)


@pytest.fixture(scope="session")
async def console_url(console_worker: WorkerContainer) -> AsyncIterator[str]:
    """A server over the same indices."""
    async with serving(console_worker.core.settings) as url:
        yield url


@pytest.fixture
async def console(chromium: Browser, console_url: str) -> AsyncIterator[Seen]:
    """Nobody is signed in. At the end: nobody else was asked, and the browser had nothing to complain of."""
    context = await chromium.new_context(viewport=SIZE, color_scheme="light")
    context.set_default_timeout(_TIMEOUT_MS)
    page = await context.new_page()
    seen = Seen(page, console_url.removesuffix(BASE_PATH))

    def asked(request: Request) -> None:
        seen.asked.append(request.url)

    def said(message: ConsoleMessage) -> None:
        # That a request was refused is said there too; the page shows it.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            seen.complaints.append(message.text)

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    yield seen
    await context.close()
    elsewhere = [url for url in seen.asked if not url.startswith((seen.root, "data:"))]
    assert (elsewhere, seen.complaints) == ([], [])
