"""Everything that makes customer tokens makes the same ones: the documents' snippets, the command, our own function."""

import re
import subprocess
from pathlib import Path

import pytest

from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.tokens import Issuer, check_token, make_token
from tests.rasa.cli.conftest import Done, command
from tests.support.npm import program
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "customer-tokens.md").read_text(encoding="utf-8")
SECRET = "s3cret-" * 8
CASES = [
    ("my-bot", "c-1", 0),
    ("my-bot", "Zoë 😀 naïve", 1_900_000_000),
    ("bot:1,", "3:a,b\n'\"", 7),
    ("ä", "x" * 300, 0),
]


def snippet(language: str) -> str:
    """Return the one block of this language in docs/customer-tokens.md that makes a token."""
    (found,) = [body for body in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if "handoff-customer" in body]
    return str(found)


def test_the_python_of_the_documents_makes_our_tokens() -> None:
    space: dict[str, object] = {}
    exec(compile(snippet("python"), "docs/customer-tokens.md", "exec"), space)
    made = [space["customer_token"](SECRET, *case) for case in CASES]  # type: ignore[operator]
    assert made == [make_token(SECRET, *case) for case in CASES]


def test_the_javascript_of_the_documents_makes_our_tokens(tmp_path: Path) -> None:
    import json

    script = tmp_path / "tokens.mjs"
    asked = f"for (const each of {json.dumps(CASES)}) console.log(customerToken({json.dumps(SECRET)}, ...each));"
    script.write_text(snippet("js") + asked, encoding="utf-8")
    done = subprocess.run([program("node"), str(script)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [make_token(SECRET, *case) for case in CASES]


def test_the_command_makes_our_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = "  bot_id: my-bot\n  desk: {url: 'http://localhost:1'}\n  channels: {rest: }\n"
    (tmp_path / "config.yml").write_text("language: en\n")
    (tmp_path / "credentials.yml").write_text(
        f"rasa_handoff.HandoffChannel:\n{settings}  customer_tokens: off\n"
        "  customer_token_secrets:\n  - ${CUSTOMER_SECRET_OF_THE_TEST}\n"
    )
    monkeypatch.setenv("CUSTOMER_SECRET_OF_THE_TEST", SECRET)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        return command("customer-token", *arguments)

    assert run("c-1").stdout.strip() == make_token(SECRET, "my-bot", "c-1")
    soon = run("c-1", "--expires-in", "60").stdout.strip()
    assert check_token([SECRET], soon, "my-bot", "c-1") is Issuer.BACKEND
    for wrong in (["c-1", "--expires-in", "-1"], [""], ["c-1", "--project", str(tmp_path / "nothing")]):
        done = run(*wrong)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert len(run("--new-secret").stdout.strip()) == 64


@pytest.mark.parametrize(
    ("token", "bot", "conversation"),
    [
        (make_token(SECRET, "b", "c") + "\n", "b", "c"),
        (make_token(SECRET, "b", "c")[:-1] + "!", "b", "c"),
        (make_token(SECRET, "b", "c"), "b", "C"),
        (make_token(SECRET, "bc", ""), "b", "c"),
        (make_token(SECRET, "b", "c", expires=1), "b", "c"),
        (make_token(SECRET, "b", "c").replace(".0.", ".00."), "b", "c"),
        (make_token(SECRET, "b", "é"), "b", "e\u0301"),
        ("1.99999999999999999999." + "A" * 43, "b", "c"),
    ],
)
def test_what_is_not_exactly_the_token_is_refused(token: str, bot: str, conversation: str) -> None:
    with pytest.raises(Refused):
        check_token([SECRET], token, bot, conversation)


def test_doctor_says_what_knowing_an_id_gives_away(project: Path) -> None:
    settings = "rasa_handoff.HandoffChannel:\n  bot_id: b\n  desk: {url: 'http://localhost:1'}\n  channels: {rest: }\n"
    (project / "credentials.yml").write_text(settings)
    said = command("doctor", str(project)).stdout
    assert "customer_tokens is off: whoever knows" in said
    assert "handoff/messages (rest): with customer_tokens off there is no such address" in said
    (project / "credentials.yml").write_text(settings + "  customer_tokens: required\n")
    assert "customer_tokens needs a secret" in command("doctor", str(project)).stdout
    (project / "credentials.yml").write_text(
        settings + "  customer_tokens: required\n  customer_token_secrets: [short]\n"
    )
    assert "which can be guessed" in command("doctor", str(project)).stdout
    (project / "credentials.yml").write_text(
        settings + f"  customer_tokens: required\n  customer_token_secrets: [{'s' * 32}]\n"
    )
    output = command("doctor", str(project)).stdout
    assert "customer_token" not in output
    assert "HandoffChannel hosts rest" in output


def test_what_the_error_says_to_write_is_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within brackets YAML takes a variable only in quotes: the errors and docs/customer-tokens.md have them."""
    monkeypatch.setenv("HANDOFF_CUSTOMER_SECRET", "s" * 32)
    settings = "rasa_handoff.HandoffChannel:\n  bot_id: b\n  desk: {url: 'http://localhost:1'}\n  channels: {rest: }\n"
    (project / "credentials.yml").write_text(settings + "  customer_tokens: required\n")
    said = command("doctor", str(project)).stdout
    line = re.findall(r"write (customer_token_secrets: \S+)", said)[0]
    page = (ROOT / "docs" / "customer-tokens.md").read_text()
    assert line.partition(": ")[2] in page
    (project / "credentials.yml").write_text(settings + f"  customer_tokens: required\n  {line}\n")
    said = command("doctor", str(project)).stdout
    assert "HandoffChannel hosts rest" in said
    assert "isn't valid YAML" not in said
