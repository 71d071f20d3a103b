"""Signing in and out over HTTP, and what guards it."""

import re
import sqlite3
from collections.abc import AsyncIterator

import aiohttp
import pytest

from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.handshake import PROTOCOL
from rasa_handoff.server.accounts import add_agent, add_department, add_token
from rasa_handoff.server.brake import FREE_OF_ADDRESS, FREE_TRIES
from rasa_handoff.testing.scripted_desk import PASSWORD, cookies, post_form
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import agent_at


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def sign_in(http, server, email="thandi@example.org", password=PASSWORD):
    return await post_form(http, server.address, "/login", email=email, password=password)


async def test_the_page_is_the_sign_in_until_one_signed_in_and_after_signing_out(server, http):
    async with http.get(server.address) as page:
        assert 'name="password"' in await page.text()
    answer = await sign_in(http, server, " Thandi@Example.org ")
    assert (answer.status, answer.headers["Location"]) == (303, "./")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    async with http.get(server.address) as page:
        body = await page.text()
    assert 'name="password"' not in body
    assert "{{" not in body
    token = re.search(r'name="csrf" content="([^"]+)"', body).group(1)
    headers = {"Origin": server.address}
    async with http.post(server.address + "/logout", data={"csrf": token}, headers=headers) as page:
        assert 'name="password"' in await page.text()


async def test_every_page_is_guarded_by_headers(server, http):
    for path in ("/", "/health", "/static/main.js", "/nothing-here"):
        async with http.get(server.address + path) as page:
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'; connect-src 'self';" in policy
            assert "ws:" not in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Cache-Control"] == ("no-cache" if path.startswith("/static") else "no-store")


async def test_after_a_wrong_password_only_the_password_is_asked_for_again(server, http):
    answer = await sign_in(http, server, '"><b>{{csrf}}@example.org', "wrong")
    page = await answer.text()
    assert 'value="&quot;&gt;&lt;b&gt;{{csrf}}@example.org"' in page
    assert [re.search(r'name="(\w+)"', field)[1] for field in re.findall(r"<input[^>]* autofocus[^>]*>", page)] == [
        "password"
    ]
    async with http.get(server.address) as first:
        assert 'value=""' in await first.text()


async def test_behind_tls_the_cookie_is_for_tls_only(server, http):
    async with http.get(server.address, headers={"X-Forwarded-Proto": "https"}) as page:
        cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-handoff_form=")
    assert "Secure" in cookie
    assert "Path=/;" in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("email", "password"), [("thandi@example.org", "wrong"), ("nobody@example.org", PASSWORD), ("", "")]
)
async def test_a_wrong_password_and_an_unknown_agent_are_answered_alike(server, http, email, password):
    answer = await sign_in(http, server, email, password)
    assert answer.status == 401
    async with http.get(server.address) as page:
        assert 'name="password"' in await page.text()


async def test_a_form_without_its_token_or_from_elsewhere_is_refused(server, http):
    fields = {"email": "thandi@example.org", "password": PASSWORD}
    async with http.get(server.address) as page:
        token = re.search(r'value="([^"]+)"', await page.text()).group(1)
    for csrf in ("", "guess", token[:-1]):
        async with http.post(server.address + "/login", data={**fields, "csrf": csrf}) as answer:
            assert answer.status == 403
            assert "Please try again" in await answer.text()
    for origin in ("http://evil.example", "null"):
        headers = {"Origin": origin}
        async with http.post(server.address + "/login", data={**fields, "csrf": token}, headers=headers) as answer:
            assert answer.status == 403
    async with (
        aiohttp.ClientSession() as other_browser,
        other_browser.post(server.address + "/login", data={**fields, "csrf": token}) as answer,
    ):
        assert answer.status == 403
    async with http.post(server.address + "/login", data=b"csrf=" + b"x" * 20_000) as answer:
        assert answer.status == 403


async def test_guessing_is_slowed_down_for_the_e_mail_and_says_for_how_long(server, http):
    for _ in range(FREE_TRIES):
        assert (await sign_in(http, server, password="guess")).status == 401
    answer = await sign_in(http, server)
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1


async def test_guessing_many_e_mails_is_slowed_down_for_the_address(server, http):
    every = range(FREE_OF_ADDRESS + 1)
    statuses = [(await sign_in(http, server, f"agent{n}@example.org", "guess")).status for n in every]
    assert statuses == [401] * FREE_OF_ADDRESS + [429]


async def test_signing_out_closes_all_desks_of_the_session(no_periodic_checks, server, http, opened, relay):
    karoo = await relay()
    await sign_in(http, server)
    tabs = [agent_at(server.address), agent_at(server.address)]
    for tab in tabs:
        opened.append(tab)
        tab.cookie = cookies(http)
        await tab.connect()
    await eventually(lambda: karoo.all("availability")[-1]["staffed"])
    async with http.get(server.address) as page:
        token = re.search(r'name="csrf" content="([^"]+)"', await page.text()).group(1)
    async with http.post(server.address + "/logout", data={"csrf": token}) as answer:
        assert answer.status == 200
    for tab in tabs:
        await eventually(lambda tab=tab: tab.all("signed_out") == [{}])
    await eventually(lambda: not karoo.all("availability")[-1]["staffed"])


@pytest.mark.sqlite
async def test_nothing_that_signs_in_is_kept_in_clear(server, http, database):
    token = add_token(database, "karoo")
    answer = await sign_in(http, server)
    session = re.search("handoff_session=([^;]+)", answer.headers["Set-Cookie"]).group(1)
    connection = sqlite3.connect(database.removeprefix("sqlite:///"))
    kept = "\n".join(connection.iterdump())
    connection.close()
    for secret in (PASSWORD, token, session):
        assert secret not in kept
    assert "$argon2id$" in kept


async def test_health_says_ok_and_which_versions_run(server, http, database):
    async with http.get(server.address + "/health") as answer:
        said = await answer.json()
        if database.startswith("postgresql"):
            assert said.pop("bus_is_heard")
            assert said.pop("bus")
        assert said == {
            "status": "ok",
            "database": database.partition(":")[0],
            "dead_letters": 0,
            "format": "rasa-handoff",
            "protocol": PROTOCOL,
            "version": "0.1.0",
        }


@pytest.mark.sqlite
async def test_health_is_unavailable_while_the_database_is(server, http, database):
    held = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    async with http.get(server.address + "/health") as answer:
        assert answer.status == 503
        said = await answer.json()
    held.close()
    assert said["status"] == "unavailable"
    assert said["reason"].startswith("The database can't be used: database is locked")


@pytest.mark.parametrize(
    ("add", "sentence"),
    [
        (lambda db: add_agent(db, "thandi@example.org", "T", PASSWORD), "There is an agent with the e-mail"),
        (lambda db: add_agent(db, "thandi", "T", PASSWORD), "isn't an e-mail address"),
        (lambda db: add_agent(db, "a@b", " ", PASSWORD), "needs a name"),
        (lambda db: add_agent(db, "a@b", "A", "short"), "at least 8"),
        (lambda db: add_agent(db, "a@b", "A", PASSWORD, ["gardening"]), "rasa-handoff department add gardening"),
        (lambda db: add_department(db, "billing"), "already"),
        (lambda db: add_department(db, " "), "can't be a department's name"),
        (lambda db: add_department(db, "Bil ling!!"), "letters, digits"),
        (lambda db: add_token(db, ""), "bot_id"),
    ],
)
def test_what_can_not_be_added_is_answered_with_a_sentence(database, add, sentence):
    with pytest.raises(HandoffError, match=re.escape(sentence)):
        add(database)
