"""What people do in the console, by mouse and by keyboard."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import Browser, expect

from app.container import WorkerContainer, open_deliveries
from tests.client import Client
from tests.conftest import PASSWORD, Embed
from tests.console.conftest import Seen
from tests.receivers import Receiver


async def test_a_new_user_remembers_something_and_finds_it(console: Seen, embed: Embed) -> None:
    await console.sign_up()
    await console.remember("Customer wants Friday billing summaries.", tags="kind:preference")
    await embed()
    await console.search("When should summaries be sent?")
    result = console.page.locator("article.result")
    await expect(result).to_have_count(1)
    await expect(result.locator("mark")).to_have_text(["summaries"])
    await expect(result.locator("kbd")).to_have_text(["kind:preference"])
    bar = result.get_by_role("img", name=re.compile(r"^Of this, semantic 0\.\d\d, keyword 0\.\d\d, recency 0\.\d\d"))
    await expect(bar).to_be_visible()
    widths = await bar.locator("i").evaluate_all("parts => parts.map(part => part.getBoundingClientRect().width)")
    score = float((await result.locator(".score").inner_text()).split()[-1])
    whole = await bar.evaluate("bar => bar.getBoundingClientRect().width")
    assert sum(widths) / whole == pytest.approx(score, abs=0.01)


async def test_weights_always_sum_to_1_and_change_what_is_asked(console: Seen) -> None:
    await console.sign_up()
    await console.remember("Deploys are frozen on Fridays")
    keyword = console.page.get_by_role("slider", name="keyword")
    await keyword.fill("70")
    shown = await console.page.locator(".weights small").all_inner_texts()
    assert sum(int(text.split()[0]) for text in shown) == 100
    assert shown[1] == "70 %"
    async with console.page.expect_request("**/memory/search") as asking:
        await console.search("deploys")
    weights = json.loads((await asking.value).post_data or "")["weights"]
    assert (weights["keyword"], round(sum(weights.values()), 9)) == (0.7, 1.0)
    await console.page.get_by_role("radio", name="keyword").check()
    await expect(keyword).to_be_disabled()
    await console.search("deploys")
    await expect(console.page.locator("article.result mark")).to_have_text(["Deploys"])


async def test_filters_narrow_and_neighbours_come_on_demand(console: Seen, embed: Embed) -> None:
    await console.sign_up()
    await console.go("Sessions")
    await console.page.get_by_label("Title of a new session").fill("Support 42")
    await console.press("Create")
    await expect(console.page.locator("h1")).to_have_text("Support 42")
    for role, content in (
        ("user", "My invoice is wrong"), ("assistant", "Which one?"), ("user", "Number 1842"),
        ("assistant", "I have corrected it"),
    ):  # fmt: skip
        await console.remember(content, role=role)
    await embed()
    await console.go("Search")
    await console.page.get_by_text("Filters").click()
    await console.page.get_by_label("Role").first.fill("assistant")
    await console.search("invoice 1842")
    await expect(console.page.locator("article.result")).to_have_count(2)
    await console.page.get_by_label("Role").first.fill("user")
    await console.search("1842")
    first = console.page.locator("article.result").first
    await expect(first.locator(".content")).to_have_text("Number 1842")
    await console.press("What was said around it", within="article.result")
    await expect(first.locator(".turn")).to_have_count(3)
    await expect(first.locator(".turn").nth(1)).to_contain_text("Which one?")
    await first.get_by_role("link", name="Its session").click()
    await expect(console.page.locator("h1")).to_have_text("Support 42")


async def test_a_window_shows_its_tokens_and_goes_back_to_a_checkpoint(console: Seen) -> None:
    await console.sign_up()
    await console.go("Sessions")
    await console.press("Create")
    await console.remember("The plan is A")
    messages = console.page.locator("article.message")
    await expect(messages).to_have_count(1)
    used = console.page.get_by_role("progressbar", name="Tokens of the window that are used")
    assert int(await used.get_attribute("value") or 0) > 0
    await expect(console.page.locator(".tokens")).to_contain_text("of 4000 tokens · 1 messages")
    await console.press("Checkpoint now")
    await console.told("The window is kept")
    await console.remember("The plan is B")
    await expect(messages).to_have_count(2)
    await console.press("Restore", yes=True)
    await console.told("The window is as it was then")
    await expect(messages).to_have_count(1)
    await expect(messages.first).to_contain_text("The plan is A")
    await console.page.get_by_text("Everything that was said", exact=True).click()
    await expect(console.page.locator("details article.message")).to_have_count(2)


async def test_the_timeline_deletes_restores_and_erases(console: Seen) -> None:
    await console.sign_up()
    await console.remember("Said and regretted")
    await console.go("Timeline")
    await expect(console.page.locator("li.added")).to_contain_text("Said and regretted")
    await console.press("Delete", within="li.added", yes=True)
    await expect(console.page.locator("li.deleted")).to_have_count(1)
    await expect(console.page.locator("li.added")).to_have_count(0)
    await console.press("Restore", within="li.deleted")
    await expect(console.page.locator("li.added")).to_contain_text("Said and regretted")
    await console.press("Erase", within="li.added", yes=True)
    await expect(console.page.get_by_text("Nothing was added or deleted.")).to_be_visible()


async def test_a_question_answered_by_no_changes_nothing(console: Seen) -> None:
    await console.sign_up()
    await console.remember("Stays")
    await console.go("Timeline")
    await console.press("Erase", within="li.added")
    await console.page.locator("dialog[open]").get_by_role("button", name="Keep it").click()
    await expect(console.page.locator("dialog[open]")).to_have_count(0)
    await expect(console.page.locator("li.added")).to_contain_text("Stays")


async def test_a_key_is_shown_once_signs_in_and_is_revoked(console: Seen, chromium: Browser) -> None:
    await console.sign_up()
    await console.go("Keys")
    await console.page.get_by_label("Name").fill("reader")
    await console.page.get_by_label("write", exact=True).uncheck()
    await console.press("Create")
    key = await console.page.locator(".secret code").inner_text()
    await console.press("I have it")
    await expect(console.page.locator(".secret")).to_have_count(0)
    row = console.page.get_by_role("row", name=re.compile("^reader"))
    await expect(row).to_contain_text(key[-4:])
    await expect(row.locator("td").nth(1)).to_have_text("read")
    other = await (await chromium.new_context()).new_page()
    await other.goto(f"{console.root}/console")
    await other.get_by_role("button", name="Use an API key").first.click()
    await other.get_by_label("API key").fill(key)
    await other.get_by_role("button", name="Use an API key").last.click()
    await expect(other.locator("h1")).to_have_text("Search")
    await other.get_by_label("What was said").fill("not allowed")
    await other.get_by_role("button", name="Remember").click()
    await expect(other.get_by_role("alert")).to_contain_text("memory:write")
    await console.press("Revoke", within="tr", yes=True)
    await console.told("Revoked.")
    await expect(row).to_have_count(0)
    await other.reload()
    await expect(other.get_by_role("heading", name="Remembr")).to_be_visible()
    await other.context.close()


async def test_webhooks_show_what_was_delivered_and_send_it_again(
    console: Seen, receiver: Receiver, console_worker: WorkerContainer
) -> None:
    await console.sign_up()
    await console.go("Webhooks")
    await console.page.get_by_label("URL").fill(receiver.url)
    await console.page.get_by_label("memory.stored").check()
    await console.press("Create")
    receiver.secret = await console.page.locator(".secret code").inner_text()
    await console.press("I have it")
    await console.press("Test")
    await console.told("A test is on its way.")
    async with open_deliveries(console_worker.core) as service:
        await service.deliver_due()
        await service.drain()
    await console.page.get_by_text("Deliveries").click()
    row = console.page.get_by_role("row", name=re.compile("^webhook.test"))
    await expect(row.locator("td").nth(1)).to_have_text("delivered")
    await expect(row.locator("td").nth(3)).to_have_text("200")
    await console.press("Send again", within="tr")
    await console.told("It is sent once more.")
    await console.page.get_by_role("switch").uncheck()
    await expect(console.page.get_by_role("switch")).not_to_be_checked()
    await console.press("Delete", yes=True)
    await expect(console.page.get_by_text("There is no webhook yet.")).to_be_visible()


async def test_health_tells_what_answers_and_what_waits(console: Seen, embed: Embed) -> None:
    await console.sign_up()
    await console.remember("Waits to be embedded")
    await console.go("Health")
    await expect(console.page.get_by_text("elasticsearch")).to_be_visible()
    figures = console.page.locator(".figures dd")
    await expect(figures.nth(1)).to_have_text("1")
    await expect(figures.nth(3)).not_to_have_text("none")
    await embed()
    await expect(figures.nth(0)).to_have_text("1")
    await expect(figures.nth(3)).to_have_text("none")


async def test_what_the_server_refuses_is_said_in_its_words(console: Seen) -> None:
    email = await console.sign_up()
    await console.press("Sign out", within="header")
    await console.page.get_by_label("E-mail").fill(email)
    await console.page.get_by_label("Password").fill("not the password")
    await console.page.get_by_role("button", name="Sign in").last.click()
    await expect(console.page.get_by_role("alert")).to_contain_text("password")
    await console.page.get_by_label("Password").fill(PASSWORD)
    await console.page.get_by_role("button", name="Sign in").last.click()
    await expect(console.page.locator("h1")).to_have_text("Search")
    await expect(console.page.locator(".who")).to_have_text(email)


async def test_a_token_that_has_run_out_is_renewed_unseen(console: Seen) -> None:
    await console.sign_up()
    await console.page.evaluate(
        """() => {
            const kept = JSON.parse(sessionStorage.getItem("remembr"));
            sessionStorage.setItem("remembr", JSON.stringify({...kept, token: kept.token + "x"}));
        }"""
    )
    await console.page.reload()
    await expect(console.page.locator(".who")).to_contain_text("@example.com")
    await console.remember("After the renewal")


async def test_what_somebody_stored_is_text_and_never_markup(console: Seen) -> None:
    await console.sign_up()
    await console.remember("<img src=x onerror=alert(1)> bold <b>words</b>")
    await console.search("bold words")
    result = console.page.locator("article.result .content")
    await expect(result).to_have_text("<img src=x onerror=alert(1)> bold <b>words</b>")
    await expect(result.locator("img, b")).to_have_count(0)


async def test_everything_is_reached_by_keys_alone(console: Seen) -> None:
    await console.sign_up()
    await console.remember("Found without a mouse")
    keyboard = console.page.keyboard
    await console.page.get_by_label("What to look for").press("Escape")
    await console.page.locator("h1").focus()
    await keyboard.press("/")
    await keyboard.type("mouse")
    await keyboard.press("Enter")
    await expect(console.page.locator("article.result")).to_have_count(1)
    await console.page.locator("h1").focus()
    for key, title in (("s", "Sessions"), ("t", "Timeline"), ("k", "Keys"), ("w", "Webhooks"), ("h", "Health")):
        await keyboard.press("g")
        await keyboard.press(key)
        await expect(console.page.locator("h1")).to_have_text(title)
        await expect(console.page.locator("h1")).to_be_focused()
    await keyboard.press("?")
    await expect(console.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await keyboard.press("Escape")
    await expect(console.page.get_by_role("dialog", name="Keyboard")).to_have_count(0)


async def test_the_console_can_be_revalidated_and_is_guarded(anonymous: Client, console: Seen) -> None:
    page = await anonymous.http.get(f"{console.root}/console")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    again = await anonymous.http.get(f"{console.root}/console", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await anonymous.http.get(f"{console.root}/console/../app/settings.py")).status_code == 404
    assert (await anonymous.http.get(f"{console.root}/console/nothing.js")).status_code == 404
