"""Two people talk and a moderator looks on: browser, service, Kafka, the job, and back, all real."""

from __future__ import annotations

import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from settings import ROOT
from stack import jobs, security
from tests.e2e.conftest import SCREENSHOTS, Pipeline

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1000)]

RUDE = "You are a worthless idiot and nobody wants you here"
RUDER = "You are a stupid worthless idiot, nobody wants you here"
CLEAN = ("Good morning, how was your weekend?", "The train was late again", "See you at the match tonight")


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def service(pipeline: Pipeline, address: str) -> Iterator[None]:
    """The moderation service on this address, ready; ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services.moderation", "--port", address.rpartition(":")[2]],
        cwd=ROOT,
        env={**security.environment("service"), **pipeline.environment},
    )
    try:
        pipeline.wait_for("the moderation service", lambda: is_ready(address), 60)
        yield
    finally:
        process.terminate()
        process.wait(30)


def is_ready(address: str) -> bool:
    try:
        return requests.get(f"{address}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def enter(page: Page, address: str, name: str) -> Page:
    """The chat page of this person, in the room `lobby`."""
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    page.goto(address)
    page.get_by_label("Room", exact=True).fill("lobby")
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Join").click()
    expect(page.locator("#connection")).to_contain_text("Connected")
    return page


def say(page: Page, text: str) -> Locator:
    """Send a message; returns it as the page shows it, once, whatever becomes of it."""
    before = page.locator("li.message").count()
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    expect(page.locator("li.message")).to_have_count(before + 1)
    message_id = page.locator("li.message").last.get_attribute("data-message-id")
    return seen(page, str(message_id))


def seen(page: Page, message_id: str) -> Locator:
    return page.locator(f'li.message[data-message-id="{message_id}"]')


def id_of(message: Locator) -> str:
    return str(message.get_attribute("data-message-id"))


def becomes(message: Locator, state: str | re.Pattern[str], seconds: float = 20) -> None:
    expect(message).to_have_attribute("data-state", state, timeout=1000 * seconds)


def test_people_talk_and_are_moderated(pipeline: Pipeline, browser: Browser, address: str) -> None:
    pipeline.start("moderation")
    people = {name: browser.new_context(viewport={"width": 900, "height": 700}).new_page() for name in ("ann", "bob")}
    desk = browser.new_context(viewport={"width": 1200, "height": 800}).new_page()
    with service(pipeline, address):
        ann, bob = (enter(page, address, name) for name, page in people.items())
        desk.goto(f"{address}/moderator")
        becomes(say(ann, "Is anybody here?"), "clean", 60)  # the first one waits for the workers' models

        seconds = []
        for number in range(20):
            began = time.monotonic()
            message = say((ann, bob)[number % 2], f"{CLEAN[number % 3]} {number}")
            becomes(message, "clean")
            seconds.append(time.monotonic() - began)
        median, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
        print(f"From send to decision, in the browser: p50 {median:.2f} s, p95 {p95:.2f} s, of {len(seconds)}.")
        assert median < 2

        script = '<script>alert(1)</script><img src=x onerror="alert(2)">'
        message = say(bob, script)
        becomes(message, "clean")
        expect(seen(ann, id_of(message)).locator(".text")).to_have_text(script)

        rude = say(ann, RUDE)
        rude_id = id_of(rude)
        for page in (ann, bob):
            becomes(seen(page, rude_id), "flagged")
            expect(seen(page, rude_id)).to_have_attribute("data-blurred", "true")
        seen(bob, rude_id).get_by_role("button", name="Show message").press("Enter")
        expect(seen(bob, rude_id)).to_have_attribute("data-blurred", "false")
        seen(bob, rude_id).get_by_role("button", name="Hide message").click()
        picture(bob, "chat")
        picture_on_phone(browser, address)

        item = desk.locator(f'.item[data-message-id="{rude_id}"]')
        expect(item.locator("mark").first).to_be_visible()
        picture(desk, "moderation-desk")
        item.get_by_role("button", name="Overturn").click()
        for page in (ann, bob):
            becomes(seen(page, rude_id), "clean")
            expect(seen(page, rude_id)).to_contain_text("cleared by a moderator")
        expect(item).to_have_count(0)

        held = say(bob, RUDER)
        becomes(held, "held")
        expect(held.locator(".text")).to_have_text(RUDER)
        becomes(seen(ann, id_of(held)), "held")
        expect(seen(ann, id_of(held))).not_to_contain_text("idiot")
        for name in ("ann", "eve", "you there", "all"):
            becomes(say(bob, f"{RUDE}, {name}"), re.compile("flagged|held"))  # held once they are a flood
        expect(bob.locator("#mute")).to_contain_text("You are muted")
        expect(bob.locator("#text")).to_be_disabled()
        expect(ann.locator("#mute")).to_be_hidden()

        jobs.cancel(pipeline.prefix + "moderation")
        waiting = [say(ann, f"Does this come through? {number}") for number in range(3)]
        for message in waiting:
            becomes(message, "unscored")
            becomes(seen(bob, id_of(message)), "unscored")
    shown = ids(ann)

    expect(ann.locator("#connection")).not_to_contain_text("Connected")
    late = say(ann, "Written while the service was away")
    with service(pipeline, address):
        for page in (ann, bob):
            expect(page.locator("#connection")).to_contain_text("Connected", timeout=30_000)
        expect(seen(bob, id_of(late))).to_have_count(1)
        assert ids(ann) == [*shown, id_of(late)]
        expect(bob.locator("#text")).to_be_disabled()  # still muted

        jobs.submit("moderation", prefix=pipeline.prefix, environment=pipeline.environment)
        for message in [*waiting, late]:
            becomes(message, "clean", 60)
            becomes(seen(bob, id_of(message)), "clean")
        assert ids(bob) == ids(ann) == [*shown, id_of(late)]
        pipeline.wait_for(
            "a document of each message",
            lambda: pipeline.documents("moderation_messages").keys() == {f"lobby|{one}" for one in ids(ann)},
        )
        assert pipeline.documents("moderation_messages")[f"lobby|{rude_id}"]["verdict"] == "overturn"
        assert pipeline.documents("moderation_users")["bob"]["action"] == "mute"

        load = pipeline.python("bench.chat_load", "--url", address, "--rate", "200", "--seconds", "20", "--json")
        assert load.returncode == 0, load.stdout + load.stderr
        print(load.stdout)


def ids(page: Page) -> list[str]:
    """The messages on the page, in their order."""
    return [id_of(message) for message in page.locator("li.message").all()]


def picture(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def picture_on_phone(browser: Browser, address: str) -> None:
    """The page fits a phone: nothing is wider than it."""
    page = enter(browser.new_context(viewport={"width": 360, "height": 720}).new_page(), address, "eve")
    expect(page.locator("li.message").last).to_have_attribute("data-state", re.compile("flagged"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    picture(page, "chat-phone")
    page.context.close()
