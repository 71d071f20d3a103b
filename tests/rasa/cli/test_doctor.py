"""``rasa-handoff doctor``: each check finds what is wrong, and is quiet where nothing is."""

import asyncio
import functools
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from rasa_handoff.desks.ours import OurDesk
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.server import accounts
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.scripted_desk import DeskServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.cli.conftest import Done, command, process
from tests.support.postgres_server import Database
from tests.support.redis import RedisServer
from tests.support.s3_server import S3Server


def doctor(project: Path, text: str) -> "Done | subprocess.CompletedProcess[str]":
    """Run doctor on a project, of which ``text`` is in a file.

    Rasa, once it is loaded, has ruamel fill in variables itself, and fail where one isn't set. So a text with a variable needs a
    process without Rasa, as the command is when a person runs it.
    """
    return (process if "${" in text else command)("doctor", str(project))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def handed_once(rasa_init_output: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = shutil.copytree(rasa_init_output, tmp_path_factory.mktemp("handed") / "my-bot")
    assert command("init", str(project), "--yes").returncode == 0
    return project


@pytest.fixture
def handed(handed_once: Path, tmp_path: Path) -> Path:
    """A project after ``init``."""
    return shutil.copytree(handed_once, tmp_path / "my-bot")


@pytest.fixture
def answering() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Something on a port that answers GET with the body it is given."""
    answer = {"body": b""}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer["body"])

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", answer
        server.shutdown()
        thread.join()


def test_an_untouched_project_is_told_to_run_init(project: Path) -> None:
    done = command("doctor", str(project))
    assert done.returncode == 1
    assert "mend credentials.yml has no rasa_handoff.HandoffChannel: run rasa-handoff init." in done.stdout
    assert "mend The intent 'execute_handoff' is not in the domain" in done.stdout


def test_a_marker_that_cannot_be_read_is_found(handed: Path) -> None:
    marker = """
  utter_help_now:
  - custom: {handoff: {priorty: urgent}}
  utter_who_is_there:
  - text: "Here they are."
    custom: {handoff_options: {priority: urgent}}
  utter_bye_now:
  - custom: {handoff_close: {survey: false}}
"""
    domain = handed / "domain.yml"
    domain.write_text(domain.read_text().replace("responses:", "responses:" + marker.rstrip(), 1))
    done = command("doctor", str(handed))
    assert (
        "mend The response utter_help_now: custom.handoff has no field 'priorty'. Did you mean 'priority'?"
        in done.stdout
    )
    assert "mend The response utter_bye_now: custom.handoff_close doesn't fit" in done.stdout
    assert "utter_who_is_there" not in done.stdout


PLATFORM = """rasa_handoff.KommunicateChannel:
  bots: {shop: {header: X-Key, secret: "${KOMMUNICATE_KEY}"}}
"""


def test_a_platform_with_its_own_desk_needs_no_other(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMMUNICATE_KEY", "x")
    (project / "credentials.yml").write_text(PLATFORM)
    output = command("doctor", str(project)).stdout
    assert "ok   KommunicateChannel answers for shop; without api_key, what comes too late waits" in output
    assert "has no rasa_handoff.HandoffChannel" not in output


def test_a_platforms_database_is_looked_at(project: Path, monkeypatch: pytest.MonkeyPatch, postgres: Database) -> None:
    monkeypatch.setenv("KOMMUNICATE_KEY", "x")

    def findings(database: str) -> str:
        (project / "credentials.yml").write_text(f"{PLATFORM}  database: {database}\n")
        return command("doctor", str(project)).stdout

    assert f"ok   rasa_handoff.KommunicateChannel: the database {postgres.url} can be reached." in findings(
        postgres.url
    )
    away = f"postgresql://thabo:s3cret@127.0.0.1:{free_port()}/x"
    assert (
        f"mend rasa_handoff.KommunicateChannel: the database {away.replace('s3cret', '***')} can't be reached ("
        in findings(away)
    )
    assert "s3cret" not in findings(away)
    assert "database begins with 'mysql'" in findings("mysql://here/x")
    assert "there is no folder" in findings("sqlite:///nowhere/x.db")
    assert "has a Redis lock store" not in findings("sqlite:///x.db")
    (project / "endpoints.yml").write_text("lock_store: {type: redis}\n")
    assert "has a Redis lock store, which is for several Rasa servers" in findings("sqlite:///x.db")
    assert "mend endpoints.yml has a tracker_store that one Rasa process has to itself" in findings(postgres.url)


LIVEPERSON = """rasa_handoff.LivePersonChannel:
  skill: people
  endpoint: {public_key: key.pem, bots: {shop: {audience: any}}}
"""


def test_livepersons_settings_are_checked_too(project: Path) -> None:
    (project / "credentials.yml").write_text(LIVEPERSON)
    output = command("doctor", str(project)).stdout
    assert "warn rasa_handoff.LivePersonChannel: endpoint.bots.shop takes any audience" in output
    assert "ok   LivePersonChannel answers Custom Endpoint's bots shop." in output
    (project / "credentials.yml").write_text(LIVEPERSON + "  welcome: gret\n  rich_content: greet\n")
    output = command("doctor", str(project)).stdout
    assert "mend rasa_handoff.LivePersonChannel: welcome is 'gret', and the domain has no such intent" in output
    assert "rich_content is" not in output
    (project / "credentials.yml").write_text(LIVEPERSON.replace("skill", "skil"))
    assert "mend rasa_handoff.LivePersonChannel has no setting 'skil'" in command("doctor", str(project)).stdout


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("", "bots.shop.secret is empty"),
        ("  welcom: greet\n", "has no setting 'welcom': did you mean 'welcome'?"),
        ("  api_key: ${KOMMUNICATE_API}\n", "api_key is empty"),
        ("  account_token: ''\n", "account_token is empty"),
        ("  user_details: true\n", "user_details needs api_key"),
    ],
)
def test_a_platforms_settings_are_checked(
    project: Path, monkeypatch: pytest.MonkeyPatch, more: str, sentence: str
) -> None:
    monkeypatch.delenv("KOMMUNICATE_KEY", raising=False)
    if more:
        monkeypatch.setenv("KOMMUNICATE_KEY", "x")
    (project / "credentials.yml").write_text(PLATFORM + more)
    done = doctor(project, more)
    assert done.returncode == 1
    assert any(line.startswith("mend") and sentence in line for line in done.stdout.splitlines()), done.stdout


def test_after_init_only_the_desk_is_missing(handed: Path) -> None:
    replace(handed / "credentials.yml", "http://localhost:5065", "http://127.0.0.1:1")
    done = command("doctor", str(handed))
    assert [line for line in done.stdout.splitlines() if line.startswith("mend")] == [
        "mend The live-agent server at http://127.0.0.1:1 doesn't answer (Connection refused): "
        "start it with rasa-handoff serve."
    ]
    assert "ok   Rasa 3.6" in done.stdout
    assert "warn endpoints.yml has no tracker_store" in done.stdout


@pytest.mark.parametrize(
    ("body", "line", "code"),
    [
        (
            b'{"status": "ok", "format": "rasa-handoff", "version": "0.1.0", "protocol": 1}',
            "ok   The live-agent server at",
            0,
        ),
        (
            b'{"status": "ok", "format": "rasa-handoff", "version": "9.0.0", "protocol": 9}',
            "speaks protocol 9, this package 2",
            1,
        ),
        (
            b'{"status": "ok", "version": "0.1.0", "protocol": 1}',
            "is from before the first release: update rasa-handoff there",
            1,
        ),
        (b'{"hello": 1}', "is no live-agent server of rasa-handoff", 1),
        (b"<html>", "doesn't answer", 1),
    ],
)
def test_the_desk_and_its_protocol(handed: Path, answering, body: bytes, line: str, code: int) -> None:
    url, answer = answering
    answer["body"] = body
    replace(handed / "credentials.yml", "http://localhost:5065", url)
    done = command("doctor", str(handed))
    assert line in done.stdout
    assert done.returncode == code


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        ("credentials.yml", "#facebook:", "slack:\n#facebook:", "mend credentials.yml: move 'slack' under"),
        ("credentials.yml", "bot_id:", "bot_ids:", "mend rasa_handoff.HandoffChannel has no setting 'bot_ids'"),
        (
            "credentials.yml",
            "    rest:",
            "    rst:",
            "mend rasa_handoff.HandoffChannel knows no channel 'rst', or can't host it: did",
        ),
        (
            "credentials.yml",
            "    rest:",
            "    my.own.Channel:",
            "mend rasa_handoff.HandoffChannel: the channel 'my.own.Channel' can't",
        ),
        ("credentials.yml", "    rest:", "    cmdline:", "knows no channel 'cmdline', or can't host it"),
        (
            "credentials.yml",
            "bot_id:",
            "note: ${NEVER_SET}  # ${NOT_THIS}\n  bot_id:",
            "warn credentials.yml takes NEVER_SET from",
        ),
        ("config.yml", "actions: false", "actions: true", "mend config.yml says 'actions: true', and endpoints.yml"),
        ("config.yml", "contact: false", "contact: true", "needs 'actions: true' too"),
        ("config.yml", "fallback: true", "fallbak: true", "has no setting 'fallbak'"),
        ("config.yml", "  - name: RasaFileImporter\n", "", "warn config.yml: RasaFileImporter isn't among"),
        (
            "domain.yml",
            "responses:\n",
            "responses:\n  utter_default:\n  - text: Eh?\n",
            "warn utter_default is the project's",
        ),
        (
            "domain.yml",
            "session_config:",
            "forms:\n  order_form:\n    required_slots: []\nsession_config:",
            "warn The form 'order_form'",
        ),
        ("domain.yml", "version:", "version: [", "mend domain.yml isn't valid YAML"),
        (
            "credentials.yml",
            "  bot_id:",
            "  slots: [cty]\n  bot_id:",
            "mend rasa_handoff.HandoffChannel: slots names 'cty', and the domain has no such slot: write one of: handoff_note",
        ),
        (
            "credentials.yml",
            "  bot_id:",
            "  settable_slots: [handoff_note, handoff_ntoe]\n  bot_id:",
            "settable_slots names 'handoff_ntoe', and the domain has no such slot: did you mean 'handoff_note'?",
        ),
        (
            "domain.yml",
            "session_config:",
            "slots:\n  city:\n    type: text\nsession_config:",
            "warn rasa_handoff.HandoffChannel: agents see nothing of what the bot knows: write 'slots: [city]'",
        ),
        ("credentials.yml", "bot_id: my-bot", 'bot_id: ""', "bot_id is empty: write 'bot_id: my-bot'."),
        (
            "credentials.yml",
            "    rest:",
            "    socketio:\n    rest:",
            "warn The channel socketio has no session_persistence",
        ),
        (
            "credentials.yml",
            "  desk:\n    url: http://localhost:5065\n",
            "  desk: {url: http://localhost:5065}\n",
            'Within braces an address needs quotes: write "http://localhost:5065".',
        ),
        ("domain.yml", "intents:\n", "intents:\n  a: b\nx:\n", "mend domain.yml: 'intents' should be a list"),
        (
            "domain.yml",
            "responses:\n",
            "responses:\n  utter_x: hello\n",
            "mend domain.yml: what stands under 'responses'",
        ),
        (
            "config.yml",
            "importers:\n",
            "importers: 5\nx:\n",
            "mend config.yml: 'importers' should be a list, but is 5.",
        ),
        (
            "endpoints.yml",
            "#",
            "tracker_store: sql\n#",
            "mend endpoints.yml: 'tracker_store' should be keys and values",
        ),
    ],
)
def test_what_is_wrong_is_found(handed: Path, name: str, old: str, new: str, line: str) -> None:
    replace(handed / name, old, new)
    done = doctor(handed, new)
    assert line in done.stdout, done.stdout
    assert "Traceback" not in done.stderr


def test_an_empty_key_hides_nothing_of_another_domain_file(handed: Path) -> None:
    (handed / "domain").mkdir()
    for name, text in (("a", "intents:\n"), ("b", "intents: [cancel]\nforms:\n  order_form: {}\n"), ("c", "forms:\n")):
        (handed / "domain" / f"{name}.yml").write_text(text)
    done = command("doctor", str(handed))
    assert "warn The form 'order_form'" in done.stdout, done.stdout + done.stderr


def test_a_channel_whose_package_fails_is_a_finding(handed: Path) -> None:
    (handed / "failing").mkdir()
    (handed / "failing" / "__init__.py").write_text("raise ValueError('No such thing.')\n")
    replace(handed / "credentials.yml", "    rest:", "    failing.channel.Mine:")
    done = command("doctor", str(handed))
    assert (
        "mend rasa_handoff.HandoffChannel: 'failing.channel' can't be imported (ValueError('No such thing.'))"
        in done.stdout
    ), done.stdout


def test_an_own_form_is_told_all_that_it_should_ignore(handed: Path) -> None:
    """The form ignores what starts and ends a handoff, as an older README said, but not the answer to "carry on?"."""
    ignored = "[provide_handoff_options, execute_handoff, handoff_ended]"
    form = f"forms:\n  order_form:\n    ignored_intents: {ignored}\n    required_slots: []\nsession_config:"
    replace(handed / "domain.yml", "session_config:", form)
    output = command("doctor", str(handed)).stdout
    assert "add to its ignored_intents: handoff_carry_on." in output


def test_few_examples_of_the_projects_own_are_told(handed: Path) -> None:
    output = command("doctor", str(handed)).stdout
    assert "warn The project's intents have 10 examples each (the median)" in output
    assert "an intent 'out_of_scope'" in output
    scope = "\n- intent: out_of_scope\n  examples: |\n    - Berlin\n"
    nlu = handed / "data" / "nlu.yml"
    nlu.write_text(nlu.read_text() + scope)
    assert "out_of_scope" not in command("doctor", str(handed)).stdout
    more = "".join(f"    - sentence number {number}\n" for number in range(15))
    nlu.write_text(f'version: "3.1"\nnlu:\n- intent: greet\n  examples: |\n{more}')
    assert "(the median)" not in command("doctor", str(handed)).stdout


def test_what_several_workers_must_share_is_found(handed: Path) -> None:
    assert "mend SANIC_WORKERS is 2" in command("doctor", str(handed), SANIC_WORKERS="2").stdout
    replace(handed / "credentials.yml", "  bot_id:", "  store: postgresql://relay@127.0.0.1:9/relay\n  bot_id:")
    found = command("doctor", str(handed), SANIC_WORKERS="2").stdout
    assert "SANIC_WORKERS is 2" not in found
    assert "mend endpoints.yml has no lock_store" in found
    assert "mend endpoints.yml has a tracker_store that one Rasa process has to itself" in found
    shared = "lock_store:\n  type: redis\ntracker_store:\n  type: SQL\n  dialect: postgresql\n"
    (handed / "endpoints.yml").write_text(shared)
    found = command("doctor", str(handed), SANIC_WORKERS="2").stdout
    assert "_store that" not in found


def test_the_relays_database_and_its_bus_are_named_and_tried(
    handed: Path, postgres: Database, redis_server: RedisServer
) -> None:
    assert "ok   The relay's database is sqlite:///" in command("doctor", str(handed)).stdout
    replace(handed / "credentials.yml", "  bot_id:", f"  store: {postgres.url}\n  bot_id:")
    whose = f"ok   The relay's database is {postgres.url}: several Rasa processes may work with it"
    assert f"{whose}, and the bus of {postgres.url} carries messages." in command("doctor", str(handed)).stdout
    bus = redis_server.url_at(redis_server.port)
    replace(handed / "credentials.yml", "  bot_id:", f"  bus: {bus}\n  bot_id:")
    assert f"{whose}, and the bus {bus} carries messages." in command("doctor", str(handed)).stdout
    redis_server.kill()
    found = command("doctor", str(handed)).stdout
    assert f"{whose}.\n" in found
    assert f"warn The relay: Nothing comes through the bus {bus} (" in found


def test_where_pictures_and_files_are_kept_is_said_and_what_keeps_them_from_customers(handed: Path) -> None:
    credentials = handed / "credentials.yml"
    before = credentials.read_text()
    assert "ok   The Rasa server's pictures and files are in " in command("doctor", str(handed)).stdout

    def found(media: str, channel: str = "telegram") -> str:
        settings = yaml.safe_load(before)
        own = settings["rasa_handoff.HandoffChannel"]
        own["channels"] = {channel: {}}
        own |= yaml.safe_load(media) or {}
        credentials.write_text(yaml.safe_dump(settings))
        return str(command("doctor", str(handed)).stdout)

    assert "customers on telegram get no pictures and files" in found("")
    assert "get no pictures" not in found("public_url: https://bot.example.org")
    assert "get no pictures" not in found("", "socketio")
    assert "keeps no pictures and files (media: off)" in found("media: off")
    assert "mend rasa_handoff.HandoffChannel: media: The media store's address can't be used" in found("media: 's3://'")
    assert "since nothing says where they are kept" in found("store: postgresql://here/x")
    assert "public_url is 'bot.example.org'" in found("public_url: bot.example.org")
    assert "has no setting 'media_limits.file_byte'" in found("media_limits: {file_byte: 1}")


def test_a_media_store_that_cant_be_used_is_found(handed: Path, tmp_path: Path) -> None:
    credentials = handed / "credentials.yml"
    before = credentials.read_text()
    (file := tmp_path / "file").write_text("")

    def found(media: str) -> Done:
        settings = yaml.safe_load(before)
        settings["rasa_handoff.HandoffChannel"]["media"] = media
        credentials.write_text(yaml.safe_dump(settings))
        return command("doctor", str(handed))

    with S3Server() as s3:
        bucket = s3.address("x")
        for media, advice in {
            "/proc/nope/media": "name a folder that is there or can be made",
            str(file): "name a folder that is there or can be made",
            "s3://Bad_Bucket!/x": "is no name of a bucket",
            "s3://bucket/x?endpoint_url=http://127.0.0.1:9": "look whether it can be reached from here",
            bucket.replace("handoff-media", "no-such-bucket"): "make the bucket no-such-bucket, or name another one",
        }.items():
            done = found(media)
            lines = [line for line in done.stdout.splitlines() if "media: " in line]
            assert [line.startswith("mend") and advice in line for line in lines] == [True], done.stdout
            assert done.returncode == 1
        assert "pictures and files are in s3://handoff-media/x." in found(bucket).stdout
    assert "pictures and files are in " in found("new/media").stdout
    assert not (handed / "new").exists()


async def test_the_servers_database_and_its_bus_are_named(handed: Path, tmp_path: Path, postgres: Database) -> None:
    replace(handed / "credentials.yml", "http://localhost:5065", "http://127.0.0.1:1")
    look = functools.partial(asyncio.to_thread, command, "doctor", str(handed))
    before = "http://127.0.0.1:1"
    for database, line in (
        (None, "is SQLite: one process works with it."),
        (
            postgres.url,
            "is Postgres: several servers may work with it, and they tell each other by it, which is heard.",
        ),
    ):
        async with DeskServer(tmp_path, database=database) as desk:
            replace(handed / "credentials.yml", before, desk.url)
            before = desk.url
            whose = f"ok   The database of the live-agent server at {desk.url} {line}"

            async def is_said(whose: str = whose) -> bool:
                return whose in (await look()).stdout

            await eventually(is_said, 20)  # a bus that has just begun isn't heard yet


def test_a_bus_that_the_server_does_not_hear_is_a_warning(handed: Path, answering) -> None:
    url, answer = answering
    versions = b'"format": "rasa-handoff", "version": "0.1.0", "protocol": 1'
    answer["body"] = (
        b'{"status": "ok", "database": "postgresql", "bus": "redis", "bus_is_heard": false, ' + versions + b"}"
    )
    replace(handed / "credentials.yml", "http://localhost:5065", url)
    found = command("doctor", str(handed)).stdout
    assert "they tell each other by Redis, which isn't heard: what the others do is noticed" in found


def test_a_lock_store_for_several_servers_is_found(handed: Path) -> None:
    (handed / "endpoints.yml").write_text("lock_store:\n  type: redis\n")
    assert "mend endpoints.yml has a Redis lock store" in command("doctor", str(handed)).stdout


def test_actions_said_and_not_imported_are_found(handed: Path) -> None:
    replace(handed / "config.yml", "actions: false", "actions: true")
    (handed / "endpoints.yml").write_text("action_endpoint:\n  url: http://localhost:5055/webhook\n")
    done = command("doctor", str(handed))
    assert "mend actions/actions.py: add the line: from rasa_handoff.actions import *" in done.stdout


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            b'[{"name": "action_provide_handoff_options"}, {"name": "action_execute_handoff"}]',
            "ok   The action server at",
        ),
        (b'[{"name": "action_joke"}]', "mend The action server at"),
        (b"<html>", "warn The action server at"),
    ],
)
def test_the_action_server_is_asked_what_it_has(handed: Path, answering, body: bytes, line: str) -> None:
    url, answer = answering
    answer["body"] = body
    replace(handed / "config.yml", "actions: false", "actions: true")
    (handed / "endpoints.yml").write_text(f"action_endpoint:\n  url: {url}/webhook\n")
    assert line in command("doctor", str(handed)).stdout


def test_the_copied_preset_counts_as_dialogues(project: Path) -> None:
    (project / "domain").mkdir()
    (project / "domain.yml").rename(project / "domain" / "domain.yml")
    command("init", str(project), "--yes", "--copy")
    assert "ok   The dialogues are the project's own." in command("doctor", str(project)).stdout


def test_an_engineio_that_needs_a_newer_aiohttp_is_found(
    handed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "newer" / "python_engineio-4.15.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: python-engineio\nVersion: 4.15.0\n")
    monkeypatch.syspath_prepend(tmp_path / "newer")
    done = command("doctor", str(handed))
    assert "mend python-engineio 4.15.0 needs a newer aiohttp" in done.stdout


def package(folder: Path, name: str, version: str, *requires: str) -> None:
    """Write metadata into ``folder`` as if this version of a package were installed there."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")


def test_what_rasa_requires_is_compared_with_what_is_installed(
    handed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ok   All packages that Rasa requires are installed" in command("doctor", str(handed)).stdout
    package(tmp_path / "newer", "SQLAlchemy", "2.0.58")
    package(tmp_path / "newer", "packaging", "26.4")
    package(tmp_path / "newer", "aiohttp", "3.9.5", "no-such-package>=2", "multidict<5; python_version < '4'")
    monkeypatch.syspath_prepend(tmp_path / "newer")
    done = command("doctor", str(handed))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert (
        "mend rasa requires SQLAlchemy<1.5.0,>=1.4.0, but 2.0.58 is installed: pip install 'SQLAlchemy<1.5.0,>=1.4.0'"
        in lines
    )
    assert (
        "mend rasa requires packaging<21.0,>=20.0, but 26.4 is installed: pip install 'packaging<21.0,>=20.0'" in lines
    )
    assert any(line.startswith("mend aiohttp requires no-such-package>=2, which isn't installed") for line in lines)
    assert any(line.startswith("mend aiohttp requires multidict<5, but ") for line in lines), "and what others require"


@pytest.mark.parametrize(
    ("socketio", "line"),
    [
        ("5.13.0", "mend python-socketio 5.13.0 unpickles what it reads from Redis (CVE-2025-61765)"),
        ("5.16.1", "warn python-socketio 5.16.1 with python-engineio 4.12.3 has a known vulnerability (CVE-2026-48804"),
    ],
)
def test_a_known_vulnerability_is_named(
    handed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, socketio: str, line: str
) -> None:
    package(tmp_path / "other", "python-socketio", socketio)
    package(tmp_path / "other", "python-engineio", "4.12.3")
    monkeypatch.syspath_prepend(tmp_path / "other")
    assert line in command("doctor", str(handed)).stdout


async def test_a_token_that_the_live_agent_server_refuses_is_found(handed: Path, tmp_path: Path) -> None:
    async with DeskServer(tmp_path) as desk:
        replace(handed / "credentials.yml", "http://localhost:5065", desk.url)
        bot_id = yaml.safe_load((handed / "credentials.yml").read_text())["rasa_handoff.HandoffChannel"]["bot_id"]
        look = functools.partial(asyncio.to_thread, command, "doctor", str(handed))
        assert "desk.token" not in (await look()).stdout
        token = accounts.add_token(desk.database, bot_id)
        missing = (await look()).stdout
        assert f"server at {desk.url} refuses the relay, since desk.token is missing: make a token" in missing
        assert f"rasa-handoff token add {bot_id}" in missing
        replace(handed / "credentials.yml", "# token: ${HANDOFF_TOKEN}", "token: wrong")
        assert f"desk.token isn't a token of the bot '{bot_id}'" in (await look()).stdout
        replace(handed / "credentials.yml", "token: wrong", f"token: {token}")
        assert "desk.token" not in (await look()).stdout


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_server_that_has_the_bot_of_another_database_is_found(
    handed: Path, tmp_path: Path, postgres: Database, kind: str
) -> None:
    own = postgres.url if kind == "postgres" else f"sqlite:///{handed / 'handoff.db'}"
    async with DeskServer(tmp_path) as desk:
        text = (handed / "credentials.yml").read_text().replace("http://localhost:5065", desk.url)
        settings = yaml.safe_load(text)["rasa_handoff.HandoffChannel"]
        text = text.replace("  bot_id:", f"  store: {own}\n  bot_id:")
        (handed / "credentials.yml").write_text(text)
        look = functools.partial(asyncio.to_thread, command, "doctor", str(handed))
        given = {"bot_id": settings["bot_id"], "desk": {"url": desk.url}, "channels": {"rest": None}}
        async with RelaySide(OurDesk, read_settings({**given, "store": own})) as side:
            await eventually(lambda: side.desk.connected)
            assert "refuses this project" not in (await look()).stdout
        async with RelaySide(OurDesk, read_settings({**given, "store": f"sqlite:///{tmp_path / 'other.db'}"})) as side:
            await eventually(lambda: side.desk.connected)
            found = await look()
            assert (
                f"mend The live-agent server at {desk.url} refuses this project's Rasa server: Another" in found.stdout
            )
            assert found.returncode == 1


async def test_a_department_that_the_desk_does_not_have_is_found(handed: Path, tmp_path: Path) -> None:
    responses = """
  utter_refunds:
  - custom: {handoff: {department: refunds}}
  utter_known:
  - custom: {handoff_options: {department: BILLING}}
  utter_menu:
  - text: "Whom?"
    buttons:
    - {title: "The moon", payload: '/execute_handoff{"department": "moon"}'}
    - {title: "Money", payload: '/execute_handoff{"department": "Money matters"}'}
    - {title: "Odd", payload: "/execute_handoff{"}
"""
    replace(handed / "domain.yml", "responses:", "responses:" + responses.rstrip())
    async with DeskServer(tmp_path) as desk:
        desk.add_department("billing", "Money matters")
        replace(handed / "credentials.yml", "http://localhost:5065", desk.url)
        output = (await asyncio.to_thread(command, "doctor", str(handed))).stdout
        assert f"mend domain.yml: utter_refunds names the department 'refunds', and the desk at {desk.url}" in output
        assert "mend domain.yml: utter_menu names the department 'moon'" in output
        assert "(billing), or add it there by rasa-handoff department add." in output
        assert "BILLING" not in output
        assert "Money" not in output


def test_a_rule_whose_steps_are_no_list_ends_nothing(rasa_init_output: Path, tmp_path: Path) -> None:
    project = shutil.copytree(rasa_init_output, tmp_path / "my-bot")
    command("init", str(project), "--yes", "--copy")
    (project / "data" / "odd.yml").write_text('version: "3.1"\nrules:\n- rule: odd\n  steps: 5\n')
    done = doctor(project, "")
    assert "Traceback" not in done.stderr
    assert "The dialogues are the project's own." in done.stdout


def test_channels_that_push_are_not_among_those_whose_clients_cant_wait(handed: Path) -> None:
    (handed / "mine.py").write_text(
        "from rasa.core.channels.channel import InputChannel\n"
        "from rasa.core.channels import rest as stock\n"
        "from rasa.core.channels.socketio import SocketIOInput\n"
        "class Pager(InputChannel):\n    def get_output_channel(self): return None\n"
        "class Loud(Pager): pass\n"
        "class Counter(stock.RestInput): pass\n"
        "class Quiet(InputChannel): pass\n"
        "class Kiosk(SocketIOInput): pass\n"
    )
    credentials = yaml.safe_load((handed / "credentials.yml").read_text())
    own = [f"mine.{name}" for name in ("Pager", "Loud", "Counter", "Quiet", "Kiosk", "Missing")]
    credentials["rasa_handoff.HandoffChannel"]["channels"] = {name: {} for name in (*own, "rest")}
    (handed / "credentials.yml").write_text(yaml.safe_dump(credentials))
    found = command("doctor", str(handed)).stdout
    assert "GET /webhooks/<name>/handoff/messages (mine.Counter, mine.Quiet, rest)" in found, found
