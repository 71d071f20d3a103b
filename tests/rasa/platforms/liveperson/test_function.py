"""The Function itself, in both runtimes, against the real webhook."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest

from rasa_handoff.testing.ports import free_port
from tests.rasa.platforms.liveperson.liveperson_caller import SECRET, LivePerson
from tests.rasa.platforms.liveperson.runtime import NODE, Runtime

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node 20 or newer on PATH")
BOTH = pytest.mark.parametrize("version", [1, 2], ids=["callback", "async"])


def function(liveperson: LivePerson, folder: Path, version: int, secret: str = SECRET, **environment: str) -> Runtime:
    return Runtime(folder / "function", version, f"{liveperson.base}/webhook", secret, **environment)


@BOTH
async def test_it_returns_what_the_bot_says(liveperson: LivePerson, tmp_path: Path, version: int) -> None:
    output = await function(liveperson, tmp_path, version).invoke(liveperson.payload("/give_up"))
    assert output["result"]["messages"] == ["our agents will get back to you"]
    assert output["result"]["context"]["actionParameters"] == {"skill": "human_skill"}


@BOTH
@pytest.mark.parametrize(
    "payload", [None, {}, {"message": "test"}], ids=["no payload", "an empty one", "no conversation"]
)
async def test_a_test_connection_says_whether_the_bot_is_there(
    liveperson: LivePerson, tmp_path: Path, version: int, payload: Any
) -> None:
    output = await function(liveperson, tmp_path, version).invoke(payload)
    assert output["result"]["messages"] == ["The Rasa bot can be reached."]


@BOTH
async def test_a_refusal_is_an_error_without_secrets(liveperson: LivePerson, tmp_path: Path, version: int) -> None:
    output = await function(liveperson, tmp_path, version, secret="not this").invoke(
        liveperson.payload("my card is 4111")
    )
    assert output == {"error": "The Rasa bot didn't answer: status 401"}


@BOTH
async def test_header_and_secret_may_have_other_names(liveperson: LivePerson, tmp_path: Path, version: int) -> None:
    environment = {
        "HANDOFF_HEADER": "Authorization",
        "HANDOFF_SECRET_NAME": "other",
        "SECRETS": '{"other": "Basic 123"}',
    }
    output = await function(liveperson, tmp_path, version, **environment).invoke(liveperson.payload("hello"))
    assert output["result"]["messages"] == ["Hello."]


@BOTH
async def test_what_is_missing_is_said(liveperson: LivePerson, tmp_path: Path, version: int) -> None:
    output = await function(liveperson, tmp_path / "a", version, HANDOFF_URL="").invoke({})
    assert "set the environment variable HANDOFF_URL" in output["error"]
    output = await function(liveperson, tmp_path / "b", version, SECRETS="{}").invoke({})
    assert "There is no secret rasa_handoff." in output["error"]


@pytest.fixture
async def stranger() -> AsyncIterator[str]:
    """Something else at the webhook's address."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    port, app = free_port(), web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/"
    await runner.cleanup()


@BOTH
async def test_another_server_at_that_address_is_an_error(stranger: str, tmp_path: Path, version: int) -> None:
    output = await Runtime(tmp_path / "a", version, stranger, SECRET).invoke({})
    assert "that isn't the answer of rasa_handoff" in output["error"]
    nobody = f"http://127.0.0.1:{free_port()}/"
    assert "The Rasa bot didn't answer" in (await Runtime(tmp_path / "b", version, nobody, SECRET).invoke({}))["error"]
