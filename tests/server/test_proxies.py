"""The desk behind the real nginx and Caddy, with the very snippets of docs/behind-a-proxy.md, at the root and below a path."""

import asyncio
import contextlib
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
import socketio

from rasa_handoff.desks.ours import OurDesk, socketio_path
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.public_url import read_public_url
from rasa_handoff.server.run import running
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.scripted_desk import PASSWORD
from rasa_handoff.testing.waiting import eventually
from tests.support.paths import ROOT

DOCS = (ROOT / "docs" / "behind-a-proxy.md").read_text()
SNIPPETS = {
    (kind, place): text
    for kind, place, text in re.findall(r"```(nginx|caddy)\n# (at the root|below a path)\n(.*?)```", DOCS, re.S)
}
PROGRAMS = {"nginx": shutil.which("nginx") or "/usr/sbin/nginx", "caddy": shutil.which("caddy") or "/usr/bin/caddy"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    pem, key = folder / "localhost.pem", folder / "localhost.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *subject, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)
    return pem, key


def nginx(text: str, port: int, desk: str, certificate: tuple[Path, Path], folder: Path) -> list[str]:
    """Write the snippet into a configuration, with this test's port, address and certificate; return the command that runs it."""
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace(
        "/etc/ssl/example.org.pem", str(certificate[0])
    )
    text = text.replace("/etc/ssl/example.org.key", str(certificate[1])).replace("http://127.0.0.1:5065", desk)
    text = text.replace("/var/log/nginx", str(folder))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"daemon off; master_process off; pid {folder}/pid; events {{}} http {{ {temporary} {text} }}"
    (folder / "nginx.conf").write_text(whole)
    return [PROGRAMS["nginx"], "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def caddy(text: str, port: int, desk: str, certificate: tuple[Path, Path], folder: Path) -> list[str]:
    """Do for Caddy what :func:`nginx` does."""
    text = text.replace("example.org {", f"https://localhost:{port} {{\n\ttls {certificate[0]} {certificate[1]}")
    text = text.replace("127.0.0.1:5065", urlsplit(desk).netloc)
    whole = "{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system " + f"{folder}/storage\n}}\n"
    (folder / "Caddyfile").write_text(whole + text)
    return [PROGRAMS["caddy"], "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@contextlib.asynccontextmanager
async def proxied(kind: str, place: str, database: str, certificate, folder: Path) -> AsyncIterator[str]:
    """Give the public address of a server behind the proxy."""
    port = free_port()
    url = f"https://localhost:{port}" + ("/desk" if place == "below a path" else "")
    app = create_app(database, ServerSettings(public=read_public_url(url)))
    async with running(app) as address:
        command = {"nginx": nginx, "caddy": caddy}[kind](SNIPPETS[kind, place], port, address, certificate, folder)
        with (folder / "log").open("w") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
            )
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http:
                await _wait_until_up(http, url, process, folder)
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _wait_until_up(
    http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process, folder: Path
) -> None:
    async def is_up() -> bool:
        assert process.returncode is None, (folder / "log").read_text()
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(f"{url}/health") as answer:
                return answer.status == 200
        return False

    await eventually(is_up, what=f"{url}, whose log is in {folder}")


@pytest.mark.parametrize("place", ["at the root", "below a path"])
@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_an_agent_signs_in_and_works_through_the_proxy(kind, place, database, certificate, tmp_path, caplog):
    if shutil.which(PROGRAMS[kind]) is None:
        pytest.skip(f"{kind} isn't installed here")
    async with proxied(kind, place, database, certificate, tmp_path) as url:
        connector = aiohttp.TCPConnector(ssl=False)
        jar = aiohttp.CookieJar()
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as http:
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
            async with http.get(url) as page:  # without the last slash, as people write it
                here, body = str(page.url), await page.text()
                assert page.url.path == urlsplit(url).path + "/"
            token = re.search(r'name="csrf" value="([^"]+)"', body).group(1)
            form = {"email": "thandi@example.org", "password": "wrong", "csrf": token}
            login = urljoin(here, re.search(r'action="([^"]+)"', body).group(1))
            async with http.post(login, data=form, headers={"Origin": origin}) as page:
                assert page.status == 401
            async with http.post(login, data={**form, "password": PASSWORD}, headers={"Origin": origin}) as page:
                here, body = str(page.url), await page.text()
                assert page.url.path == urlsplit(url).path + "/"
            csrf = re.search(r'name="csrf" content="([^"]+)"', body).group(1)
            kept = {cookie.key: cookie for cookie in jar}
            assert set(kept) == {"__Host-handoff_form", "__Host-handoff_session", "__Host-handoff_known"}
            assert all(cookie["secure"] and cookie["path"] == "/" for cookie in kept.values())
            files = re.findall(r'(?:href|src)="(static/[^"#]+)', body)
            assert files
            for file in files:
                async with http.get(urljoin(here, file)) as answer:
                    assert answer.status == 200, file
            cookie = "; ".join(f"{key}={one.value}" for key, one in kept.items())
        for transport in ("websocket", "polling"):
            await _open_desk(url, origin, cookie, csrf, transport)
        assert "Refused 127.0.0.1: a sign-in as thandi@example.org: " in caplog.text
        assert "was refused" not in caplog.text
    if kind == "nginx":
        logged = (tmp_path / "desk.log").read_text()
        assert "/login" in logged
        assert "sid=" not in logged


async def _open_desk(url: str, origin: str, cookie: str, csrf: str, transport: str) -> None:
    """Connect the desk that is signed in, as its page does, and wait until it is ready."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
        sio, received = socketio.AsyncClient(reconnection=False, ssl_verify=False, http_session=http), []
        sio.on("ready", received.append, namespace="/desk")
        await sio.connect(
            url,
            headers={"Cookie": cookie, "Origin": origin},
            auth={"csrf": csrf},
            namespaces=["/desk"],
            transports=[transport],
            socketio_path=socketio_path(url),
            wait_timeout=10,
        )
        await eventually(lambda: received)
        assert received[0]["me"]["name"] == "Thandi"
        await sio.eio.disconnect(abort=True)  # a long poll would otherwise be waited for


@pytest.mark.parametrize("path", ["", "/desk", "/a/b"])
async def test_a_relay_finds_a_server_below_a_path(database, tmp_path, path):
    port = free_port()
    url = f"http://127.0.0.1:{port}{path}"
    raw = {
        "bot_id": "b",
        "desk": {"url": url},
        "store": f"sqlite:///{tmp_path / 'relay.db'}",
        "channels": {"rest": None},
    }
    async with (
        running(create_app(database, ServerSettings(public=read_public_url(url))), port=port),
        RelaySide(OurDesk, read_settings(raw)),
        aiohttp.ClientSession() as http,
    ):
        async with http.get(url, allow_redirects=False) as answer:
            assert answer.status == (308 if path else 200)
            assert answer.headers.get("Location") == (f"{path}/" if path else None)
        async with http.get(f"http://127.0.0.1:{port}/health") as answer:
            assert answer.status == 200  # also without the path, as a proxy asks that takes it off


def test_the_snippets_are_all_there():
    assert len(SNIPPETS) == 4
    for (kind, _), text in SNIPPETS.items():
        assert "5065" in text, kind


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://a", "socket.io"),
        ("http://a/", "socket.io"),
        ("https://a/desk", "desk/socket.io"),
        ("https://a/b/c/", "b/c/socket.io"),
    ],
)
def test_sockets_are_below_the_path(url, path):
    assert socketio_path(url) == path
