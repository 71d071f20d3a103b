"""Attacks on signing in and on the desk's pages, each refused, and those that must not lock an agent out."""

import asyncio
import contextlib
import itertools
import logging
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from rasa_handoff.guard.refusals import shown_address
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.server import accounts, administration, brake
from rasa_handoff.server.app import create_app
from rasa_handoff.server.brake import KnownBrowsers, keys_of, network_of
from rasa_handoff.server.gateways.desk_gateway import OWN_PAGE
from rasa_handoff.server.http import pages
from rasa_handoff.server.public_url import read_proxies, read_public_url
from rasa_handoff.server.run import running
from rasa_handoff.testing.scripted_desk import PASSWORD, cookies, post_form
from rasa_handoff.testing.waiting import eventually, within
from tests.server.peers import agent_at, refusal_of

EMAIL = "thandi@example.org"

pytestmark = pytest.mark.usefixtures("no_time_passes")


class Browser:
    """A browser that signs in, with cookies of its own."""

    def __init__(self, server, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http

    async def sign_in(self, password: str = PASSWORD, email: str = EMAIL) -> int:
        return (await post_form(self.http, self.server.address, "/login", email=email, password=password)).status

    async def csrf(self) -> str:
        async with self.http.get(self.server.address) as page:
            return re.search(r'name="csrf" (?:content|value)="([^"]+)"', await page.text()).group(1)


@pytest.fixture
async def browser(server) -> AsyncIterator:
    """``browser(address)`` opens a browser at an address, as a proxy on this machine tells it."""
    opened: list[aiohttp.ClientSession] = []

    def open(address: str = "203.0.113.5") -> Browser:
        headers = {"X-Forwarded-For": address}
        http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=headers)
        opened.append(http)
        return Browser(server, http)

    yield open
    for http in opened:
        await http.close()


def giving(token):
    """Return what :class:`ScriptedAgent` has to read the token of its page, with this one instead."""

    async def token_of_page():
        return token

    return token_of_page


async def test_wrong_passwords_from_elsewhere_do_not_lock_an_agent_out(browser):
    attacker, agent = browser("203.0.113.5"), browser("198.51.100.7")
    assert [await attacker.sign_in("guess") for _ in range(6)] == [401] * 5 + [429]
    assert await agent.sign_in() == 303
    assert await attacker.sign_in() == 429  # the agent's success doesn't clear the attacker's count


async def test_a_guess_from_everywhere_brakes_an_e_mail_but_not_where_the_agent_has_signed_in_before(
    browser, monkeypatch
):
    monkeypatch.setattr(brake, "FREE_OF_EMAIL", 6)
    agent = browser("198.51.100.7")
    assert await agent.sign_in() == 303
    for number in range(7):
        await browser(f"203.0.113.{number}").sign_in("guess")
    assert await browser("198.51.100.8").sign_in() == 429
    agent.http.cookie_jar.clear(lambda cookie: cookie.key == "handoff_session")
    assert await agent.sign_in() == 303
    agent.http.cookie_jar.clear(lambda cookie: cookie.key == "handoff_session")
    assert [await agent.sign_in("guess") for _ in range(6)] == [401] * 5 + [429]  # which has a limit of its own


async def test_one_address_is_braked_over_all_e_mails_and_an_ipv6_one_by_its_network(browser, monkeypatch):
    monkeypatch.setattr(brake, "FREE_OF_ADDRESS", 3)
    seen = [await browser(f"2001:db8:1:2::{n:x}").sign_in("x", f"a{n}@example.org") for n in range(1, 5)]
    assert seen == [401, 401, 401, 429]
    assert await browser("2001:db8:1:3::1").sign_in("x", "a9@example.org") == 401


def test_addresses_are_counted_as_what_one_customer_of_a_provider_has():
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("not an address") == network_of(None) == "unknown"


def test_a_browser_is_known_only_by_a_cookie_that_we_signed():
    ours, others = KnownBrowsers("key"), KnownBrowsers("another key")
    cookie = ours.sign(None, "a1")
    known = ours.read(ours.sign(ours.read(cookie), "a2"))
    assert known.agents == ("a2", "a1")
    assert known.id == ours.read(cookie).id
    for forged in (None, "", "x", others.sign(None, "a1"), cookie[:-1], cookie.replace(".", "..")):
        assert ours.read(forged) is None
    assert keys_of("e", "192.0.2.1", known) != keys_of("e", "192.0.2.1", None)


async def test_x_forwarded_for_is_read_only_from_a_trusted_proxy(database):
    async with (
        running(create_app(database, now=lambda: 1e9), proxies=read_proxies(["192.0.2.1"])) as address,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        statuses = []
        for number in range(6):
            http.headers["X-Forwarded-For"] = f"203.0.113.{number}"
            statuses.append((await post_form(http, address, "/login", email=EMAIL, password="x")).status)
        assert statuses == [401] * 5 + [429]
        async with http.get(address, headers={"X-Forwarded-Proto": "https"}) as page:
            assert "Secure" not in page.headers.get("Set-Cookie", "")


async def test_a_failed_sign_in_has_one_log_line_without_secrets(browser, caplog):
    caplog.set_level(logging.WARNING)
    attacker, odd = browser("203.0.113.5"), browser("forged line")
    await attacker.sign_in("a secret guess")
    await odd.sign_in("x", "my-password-in-the-wrong-field")
    lines = [record.getMessage() for record in caplog.records if "sign-in" in record.getMessage()]
    assert lines == [
        f"Refused 203.0.113.5: a sign-in as {EMAIL}: the e-mail or the password isn't right.",
        "Refused an unknown address: a sign-in: the e-mail or the password isn't right.",
    ]
    text = caplog.text
    assert "secret guess" not in text
    assert "wrong-field" not in text


def test_what_a_proxy_wrote_is_one_source_whatever_it_is():
    assert shown_address("x\ny") == shown_address(None) == shown_address("y" * 10_000) == "an unknown address"
    assert shown_address("2001:DB8::1") == "2001:db8::1"


async def test_refused_desks_have_a_log_line_each_without_the_session_or_the_token(browser, server, opened, caplog):
    caplog.set_level(logging.WARNING)
    agent = browser()
    await agent.sign_in()
    csrf = await agent.csrf()
    session = re.search(r"handoff_session=([^;]+)", cookies(agent.http)).group(1)
    for cookie, token in ((f"handoff_session={session}", "guess"), ("handoff_session=ended", csrf), ("other=x", csrf)):
        stranger = agent_at(server.address)
        opened.append(stranger)

        stranger.cookie, stranger.token = cookie, giving(token)
        await refusal_of(stranger.connect(), stranger)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"Refused 127.0.0.1: a desk: {EMAIL}'s session, but not from the desk's own page.",
        "Refused 127.0.0.1: a desk: no session, or one that has ended.",
        "Refused 127.0.0.1: a desk: no session, or one that has ended.",
    ]
    assert not any(secret in caplog.text for secret in (session, csrf, "guess"))


async def test_a_session_that_was_there_before_is_ended_by_signing_in(browser, opened, server):
    """Session fixation: what somebody planted or left isn't what one is signed in with."""
    agent = browser()
    await agent.sign_in()
    before = cookies(agent.http)
    tab = agent_at(server.address)
    opened.append(tab)
    tab.cookie = before
    await tab.connect()
    token = re.search(r"handoff_session=([^;]+)", before).group(1)
    async with aiohttp.ClientSession() as other:
        planted = {"Cookie": "handoff_session=" + token}
        async with other.get(server.address, headers=planted) as page:
            assert 'name="password"' not in await page.text()
    victim = browser()
    csrf = await victim.csrf()
    data = {"email": EMAIL, "password": PASSWORD, "csrf": csrf}
    planted = {"Cookie": f"{cookies(victim.http)}; handoff_session={token}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(server.address + "/login", data=data, headers=planted, allow_redirects=False) as answer,
    ):
        assert answer.status == 303
        assert "handoff_session=" in "".join(answer.headers.getall("Set-Cookie"))
        assert token not in "".join(answer.headers.getall("Set-Cookie"))
    await eventually(lambda: tab.all("signed_out") == [{}])


async def test_every_form_needs_the_token_of_the_page_that_this_session_was_given(browser, server):
    one, other = browser(), browser()
    await one.sign_in()
    await other.sign_in(email="sipho@example.org")
    for csrf in ("", "x", await other.csrf(), await browser().csrf()):
        async with one.http.post(server.address + "/logout", data={"csrf": csrf}) as answer:
            assert answer.status == 403
    async with one.http.get(server.address) as page:
        assert 'name="password"' not in await page.text()
    for path in ("/login", "/logout"):
        for method in ("PUT", "DELETE", "PATCH"):
            async with one.http.request(method, server.address + path) as answer:
                assert answer.status == 405


async def test_a_desk_opens_only_with_the_token_of_its_own_page(browser, server, opened):
    """What JSONP and a sibling's page could do: they send the cookie, and have no page of ours to read."""
    agent, other = browser(), browser()
    await agent.sign_in()
    await other.sign_in(email="sipho@example.org")
    for csrf in (None, "", "x", await other.csrf(), await browser().csrf(), 5, {"a": "b"}):
        stranger = agent_at(server.address)
        opened.append(stranger)

        stranger.cookie, stranger.token = cookies(agent.http), giving(csrf)
        assert await refusal_of(stranger.connect(), stranger) == OWN_PAGE


async def test_a_strange_origin_is_logged_and_the_first_time_with_both_hosts_and_what_to_do(browser, server, caplog):
    agent = browser()
    for origin in ("https://desk.example.org", "https://other.example", "https://x\u202ey"):
        async with agent.http.post(server.address + "/login", headers={"Origin": origin}) as answer:
            assert answer.status == 403
    lines = [record.getMessage() for record in caplog.records]
    host = urlsplit(server.address).netloc
    assert lines[0].startswith(
        f"Refused 203.0.113.5: a page of https://desk.example.org: this server was asked as {host}. If that"
    )
    assert "--public-url https://desk.example.org" in lines[0]
    assert lines[1] == f"Refused 203.0.113.5: a page of https://other.example: this server was asked as {host}."
    assert lines[2] == f"Refused 203.0.113.5: a page of another origin: this server was asked as {host}."


async def test_passwords_are_hashed_two_at_a_time_and_a_crowd_is_asked_to_come_again(browser, monkeypatch):
    """argon2 takes 64 MB and a core each time."""
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(*_):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.1)  # in a thread, as hashing is
        with lock:
            at_once -= 1
        return False

    monkeypatch.setattr(accounts, "is_right_password", slow)
    monkeypatch.setattr(pages, "MOST_WAITING", 4)
    statuses = await asyncio.gather(*(browser(f"203.0.113.{n}").sign_in("x", f"a{n}@b") for n in range(30)))
    assert set(statuses) == {401, 503}
    assert most <= 2


def test_an_unknown_e_mail_takes_as_long_as_a_known_one(monkeypatch):
    class Noting(PasswordHasher):
        verified: list[str] = []

        def verify(self, hash, password):
            self.verified.append(hash)
            return super().verify(hash, password)

    hasher = Noting(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr(accounts, "HASHER", hasher)
    assert not accounts.is_right_password(None, "x")
    (nobodys,) = hasher.verified
    assert extract_parameters(nobodys) == extract_parameters(hasher.hash("x"))
    with pytest.raises(VerifyMismatchError):  # it was computed to the end, not refused for its shape
        hasher.verify(nobodys, "x")


def test_no_password_is_hashed_when_the_module_is_imported():
    script = (
        "import argon2\n"
        "argon2.PasswordHasher.hash = argon2.PasswordHasher.verify = None\n"
        "import rasa_handoff.server.accounts\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.sqlite
def test_a_password_is_hashed_while_others_can_write(database, monkeypatch):
    hashed = []

    class Writing(PasswordHasher):
        def hash(self, password, *, salt=None):
            hashed.append(password)
            with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=0)) as other:
                other.execute("begin immediate")
            return super().hash(password)

    accounts.add_agent(database, "lerato@example.org", "Lerato", "a long enough one")
    monkeypatch.setattr(accounts, "HASHER", Writing(time_cost=1, memory_cost=8, parallelism=1))
    accounts.add_agent(database, "neo@example.org", "Neo", "a long enough one")
    administration.set_password(database, "lerato@example.org", "another long one")
    assert hashed == ["a long enough one", "another long one"], (
        "and the other connection could begin to write each time"
    )


PATHS = (
    "/static/../pages.py", "/static/..%2fpages.py", "/static/%2e%2e/pages.py", "/static/....//pages.py", "//etc/passwd",
    "/static//etc/passwd", "/static/%00", "/static/..%5cpages.py", "/static/css", "/static", "/static/", "/login/", "/health/",
)  # fmt: skip


async def test_nothing_but_the_desks_own_files_is_served_and_nobody_is_sent_elsewhere(server):
    address = urlsplit(server.address)
    for path, host in itertools.product(PATHS, ("evil.example", address.netloc)):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n".encode()
        )
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        assert re.match(r"HTTP/1.1 4\d\d", answer), path
        assert "evil.example" not in answer
    async with aiohttp.ClientSession() as http:
        for query in ("?next=https://evil.example", "?next=//evil.example"):
            async with http.get(server.address + "/login" + query, allow_redirects=False) as answer:
                assert answer.headers["Location"] == "./"


async def test_a_large_form_is_read_no_further_than_a_form_is_long(server):
    address = urlsplit(server.address)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 120000000\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + b"csrf=" + b"x" * 50_000)
    assert (await within(reader.readline(), 5)).startswith(b"HTTP/1.1 403")
    writer.close()


@pytest.mark.parametrize(
    "url",
    [
        "example.org", "ftp://example.org", "https://", "https://a b", "https://example.org/a?b", "https://example.org/#x",
        "https://user@example.org", "https://example.org/a\r\nX: y", "https://example.org/../a", "https://example.org//evil",
        "https://example.org/static", "https://example.org/socket.io/x", "https://exa\u202emple.org", "javascript://x",
        "https://example.org/admin", "https://example.org/relay-token/x",
    ],
)  # fmt: skip
def test_what_can_not_be_a_public_address_is_refused(url):
    with pytest.raises(HandoffError, match="public address"):
        read_public_url(url)


def test_a_public_address_is_read():
    assert str(read_public_url("HTTPS://Example.org:443/desk/")) == "https://example.org/desk/"
    assert read_public_url("https://example.org/a/b-c").path == "/a/b-c"
    assert read_public_url("http://[::1]:8080").host == "[::1]:8080"
    assert read_public_url(None) is None
    with pytest.raises(HandoffError, match="trusted proxy"):
        read_proxies(["proxy.example.org"])
    assert read_proxies(["10.0.0.0/24"]) == ["10.0.0.0/24"]
