"""Every page of the console by axe's rules, in both colour schemes, and the pictures of them in the documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.client import Client, connect
from tests.conftest import Embed
from tests.console.conftest import IMAGES, SIZE, Seen

_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_PICTURES = {"light": {"search", "session", "timeline", "webhooks"}, "dark": {"search"}}
"""Those that documents show."""
_SAID = [
    ("user", "Hi, the Tuesday export stopped at row 40,000 again.", ["kind:problem"]),
    ("assistant", "I see it: the file hit its size limit. Shall I split it by month?", []),
    ("user", "Yes please. And send the billing summary on Fridays, not Mondays.", ["kind:preference"]),
    ("assistant", "Done: exports are split by month, billing summaries go out on Fridays at 9.", ["kind:decision"]),
    ("user", "Perfect. My colleague Noor takes over while I'm away in March.", ["kind:fact"]),
]


async def furnish(client: Client) -> str:
    """A conversation and an older one; the id of the first's session."""
    begun = datetime.now(UTC) - timedelta(minutes=30)
    session_id = await client.session(title="Support 42: exports and billing")
    for number, (role, content, tags) in enumerate(_SAID):
        at = (begun + timedelta(minutes=number)).isoformat()
        await client.store(content, role=role, tags=tags, session_id=session_id, created_at=at)
    other = await client.session(title="Onboarding of Acme")
    await client.store("We are billed by purchase order, each quarter.", session_id=other, tags=["kind:fact"])
    await client.store("The summary of last quarter went to the wrong address.", session_id=other)
    await client.data("POST", f"/sessions/{session_id}/checkpoint", status=201)
    gone = await client.store("My card number is none of your business.", session_id=other)
    await client.data("DELETE", f"/memory/{gone}")
    return session_id


async def clean(console: Seen, what: str) -> None:
    found = await Axe().run(console.page, options=_RULES)
    assert found.violations_count == 0, f"{what}\n{found.generate_report()}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_clean_by_axe(
    console: Seen,
    console_url: str,
    embed: Embed,
    scheme: Literal["light", "dark"],
    request: pytest.FixtureRequest,
) -> None:
    page, pictures = console.page, request.config.getoption("--write-screenshots")

    async def checked(name: str) -> None:
        await clean(console, f"{name} in {scheme}")
        if pictures and name in _PICTURES[scheme]:
            await page.screenshot(path=IMAGES / f"console-{name}-{scheme}.png", animations="disabled")

    await page.emulate_media(color_scheme=scheme)
    await console.open()
    await checked("sign-in")
    await console.sign_up()
    await clean(console, f"an empty search in {scheme}")
    token = await page.evaluate("JSON.parse(sessionStorage.getItem('remembr')).token")
    async with connect(console_url) as client:
        client.use(token)
        session_id = await furnish(client)
    await embed()
    await console.open("sessions")
    await console.go("Search")
    await console.search("When do billing summaries go out?")
    await expect(page.locator("article.result").first).to_be_visible()
    await checked("search")
    await console.press("What was said around it", within="article.result")
    await expect(page.locator(".turn").first).to_be_visible()
    await clean(console, f"neighbours in {scheme}")
    await page.set_viewport_size({"width": 375, "height": 800})
    await clean(console, f"a narrow search in {scheme}")
    assert await page.evaluate("document.documentElement.scrollWidth") == 375
    await page.set_viewport_size(SIZE)
    await console.go("Sessions")
    await expect(page.get_by_role("table")).to_be_visible()
    await checked("sessions")
    await console.open(f"sessions/{session_id}")
    await expect(page.locator("article.message").first).to_be_visible()
    await checked("session")
    await console.go("Timeline")
    await expect(page.locator("li.deleted")).to_have_count(1)
    await checked("timeline")
    await console.press("Erase", within="li.deleted")
    await clean(console, f"a question in {scheme}")
    await page.keyboard.press("Escape")
    await console.go("Keys")
    await page.get_by_label("Name").fill("support-agent")
    await console.press("Create")
    await expect(page.locator(".secret")).to_be_visible()
    await clean(console, f"a new key in {scheme}")
    await console.press("I have it")
    await checked("keys")
    await console.go("Webhooks")
    await page.get_by_label("URL").fill("http://127.0.0.1:9/remembr")
    await page.get_by_label("memory.stored").check()
    await console.press("Create")
    await console.press("I have it")
    await console.press("Test")
    await page.get_by_text("Deliveries").click()
    await expect(page.get_by_role("table")).to_be_visible()
    await checked("webhooks")
    await console.go("Health")
    await expect(page.locator(".figures")).to_be_visible()
    await checked("health")
