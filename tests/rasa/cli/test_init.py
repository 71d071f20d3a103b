"""``rasa-handoff init`` on what ``rasa init`` makes, and on what people make of it."""

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.rasa.cli.conftest import command
from tests.support.forked_rasa import forked_rasa


def yaml(path: Path) -> dict[str, object]:
    return YAML(typ="safe").load(path.read_text()) or {}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_fresh_project_gets_importer_pipeline_and_channel(project: Path) -> None:
    before = everything(project)
    done = command("init", str(project), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    config, credentials = yaml(project / "config.yml"), yaml(project / "credentials.yml")
    assert config["importers"] == [
        {"name": "RasaFileImporter"},
        {"name": "rasa_handoff.HandoffImporter", "actions": False, "contact": False, "fallback": True},
    ]
    assert {step["name"] for step in config["pipeline"]} >= {"DIETClassifier", "FallbackClassifier"}
    assert {step["name"] for step in config["policies"]} >= {"RulePolicy", "TEDPolicy"}
    assert credentials == {
        "rasa_handoff.HandoffChannel": {
            "bot_id": "my-bot",
            "desk": {"url": "http://localhost:5065"},
            "channels": {"rest": None, "rasa": {"url": "http://localhost:5002/api"}},
        }
    }
    after = everything(project)
    assert {name for name in after if after[name] != before.get(name)} == {
        "config.yml",
        "credentials.yml",
        "config.yml.bak",
        "credentials.yml.bak",
    }
    assert after["config.yml.bak"] == before["config.yml"]


def test_the_pipeline_is_the_one_rasa_would_have_chosen(project: Path) -> None:
    import rasa

    command("init", str(project), "--yes")
    default = Path(rasa.__file__).parent / "engine" / "recipes" / "config_files" / "default_config.yml"
    chosen, written = yaml(default), yaml(project / "config.yml")
    assert (written["pipeline"], written["policies"]) == (chosen["pipeline"], chosen["policies"])


def test_files_with_customers_words_are_named_for_gitignore_unless_they_are_there(project: Path) -> None:
    (project / ".gitignore").write_text("*.bak\n.rasa\n")
    said = command("init", str(project), "--yes").stdout
    named = (
        "handoff.db*",
        "handoff.media/",
        "handoff-platform.db*",
        "rasa-handoff-desk.db*",
        "rasa-handoff-desk.media/",
    )
    assert f"add to .gitignore: {', '.join(named)}\n" in said
    for name in ("config.yml", "credentials.yml"):
        (project / f"{name}.bak").replace(project / name)
    (project / ".gitignore").write_text("\n".join(("*.bak", *named)))
    assert "gitignore" not in command("init", str(project), "--yes").stdout


def test_the_second_time_nothing_changes(project: Path) -> None:
    command("init", str(project), "--yes")
    before = everything(project)
    done = command("init", str(project), "--yes")
    assert done.returncode == 0
    assert "Nothing to change." in done.stdout
    assert everything(project) == before


def test_it_shows_the_difference_and_asks(project: Path) -> None:
    before = everything(project)
    done = command("init", str(project), stdin="n\n")
    assert "+  - name: rasa_handoff.HandoffImporter" in done.stdout
    assert done.returncode == 1
    assert everything(project) == before
    assert command("init", str(project), stdin="y\n").returncode == 0
    assert everything(project) != before


def test_every_comment_of_credentials_is_kept(project: Path) -> None:
    def comments() -> list[str]:
        lines = (project / "credentials.yml").read_text().splitlines()
        return sorted(line.strip() for line in lines if line.strip().startswith("#"))

    before = comments()
    command("init", str(project), "--yes")
    assert [line for line in comments() if "HANDOFF_TOKEN" not in line] == before


def test_the_rest_of_a_hand_written_config_stays_as_it_is(project: Path) -> None:
    text = (
        "# ours\nlanguage: en   # English\nassistant_id: shop\nimporters:\n- name: RasaFileImporter\n- name: my.Importer\n"
        "  path: 'x'\n\n# light\npipeline:   [{name: WhitespaceTokenizer}]\npolicies:\n    - name: \"RulePolicy\"\n"
    )
    (project / "config.yml").write_text(text)
    assert command("init", str(project), "--yes").returncode == 0
    added = "- name: rasa_handoff.HandoffImporter\n  actions: false\n  contact: false\n  fallback: true\n"
    assert (project / "config.yml").read_text() == text.replace("  path: 'x'\n", f"  path: 'x'\n{added}")
    assert yaml(project / "credentials.yml")["rasa_handoff.HandoffChannel"]["bot_id"] == "shop"


def test_own_channels_move_with_their_settings_and_comments(project: Path) -> None:
    (project / "credentials.yml").write_text(
        "# the shop's channels\n\nslack:   # workspace of the shop\n  slack_token: xoxb-1\n\n  slack_channel: 'x'\n"
        "cmdline:\n# own one\naddons.custom_channel.Mine:\n  text: |\n    a\n     b\n"
        "rasa_handoff.KommunicateChannel:\n  welcome: greet\nrasa_handoff.LivePersonChannel:\n  welcome: greet\n"
    )
    assert command("init", str(project), "--yes").returncode == 0
    after = yaml(project / "credentials.yml")
    assert after["rasa_handoff.KommunicateChannel"] == {"welcome": "greet"}, "it has a desk of its own"
    assert after["rasa_handoff.LivePersonChannel"] == {"welcome": "greet"}
    assert after["rasa_handoff.HandoffChannel"]["channels"] == {
        "slack": {"slack_token": "xoxb-1", "slack_channel": "x"},
        "addons.custom_channel.Mine": {"text": "a\n b\n"},
    }
    assert after["cmdline"] is None
    text = (project / "credentials.yml").read_text()
    assert "    slack:   # workspace of the shop\n" in text
    assert "    # own one\n    addons" in text


def test_a_platform_alone_is_left_alone(project: Path) -> None:
    text = "rasa_handoff.KommunicateChannel:\n  bots: {}\n"
    (project / "credentials.yml").write_text(text)
    assert command("init", str(project), "--yes").returncode == 0
    assert (project / "credentials.yml").read_text() == text
    assert "HandoffImporter" in (project / "config.yml").read_text()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", None])
def test_without_channels_rest_and_socketio_are_hosted(project: Path, text: str | None) -> None:
    path = project / "credentials.yml"
    path.unlink() if text is None else path.write_text(text)
    assert command("init", str(project), "--yes").returncode == 0
    channels = yaml(path)["rasa_handoff.HandoffChannel"]["channels"]
    assert channels["rest"] is None
    assert channels["socketio"]["session_persistence"] is True


def test_a_project_with_an_action_server_gets_the_actions(project: Path) -> None:
    (project / "endpoints.yml").write_text("action_endpoint:\n  url: http://localhost:5055/webhook\n")
    actions = project / "actions" / "actions.py"
    actions.write_text('"""Ours."""\nimport os\nfrom typing import (\n    Any,\n)\n\nclass Mine: ...\n')
    assert command("init", str(project), "--yes").returncode == 0
    assert yaml(project / "config.yml")["importers"][1]["actions"] is True
    assert actions.read_text() == (
        '"""Ours."""\nimport os\nfrom typing import (\n    Any,\n)\nfrom rasa_handoff.actions import *\n\nclass Mine: ...\n'
    )
    assert command("init", str(project), "--yes").stdout.startswith("Nothing to change.")


def test_copy_writes_the_files_out_and_never_over_own_ones(project: Path) -> None:
    (project / "domain").mkdir()
    (project / "domain.yml").rename(project / "domain" / "domain.yml")
    own = project / "data" / "handoff" / "common_nlu.yml"
    own.parent.mkdir()
    own.write_text("version: '3.1'\n")
    config = (project / "config.yml").read_text()
    assert command("init", str(project), "--yes", "--copy").returncode == 0
    assert own.read_text() == "version: '3.1'\n"
    assert "utter_handoff_queued" in (project / "domain" / "handoff_common.yml").read_text()
    assert (project / "data" / "handoff" / "without_actions_rules.yml").exists()
    assert (project / "config.yml").read_text() == config


def test_copy_puts_the_presets_domain_into_a_single_file(project: Path) -> None:
    path = project / "domain.yml"
    own = "  utter_default:\n  - text: Ours.\n"
    path.write_text(path.read_text().replace("responses:\n", f"# said by us\nresponses:\n{own}"))
    before, text = yaml(path), path.read_text()
    done = command("init", str(project), "--yes", "--copy")
    assert done.returncode == 0, done.stdout + done.stderr
    after = yaml(path)
    assert after["intents"][: len(before["intents"])] == before["intents"]
    assert {"provide_handoff_options", "execute_handoff", "handoff_ended"} <= {
        next(iter(each)) if isinstance(each, dict) else each for each in after["intents"]
    }
    assert after["responses"]["utter_default"] == [{"text": "Ours."}]
    assert "utter_handoff_queued" in after["responses"]
    assert "handoff_outcome" in after["slots"]
    assert [line for line in text.splitlines() if line not in path.read_text().splitlines()] == []
    assert not (project / "domain").exists()
    examples = yaml(project / "data" / "handoff" / "common_nlu.yml")["nlu"]
    numbers = {block["intent"]: len(block["examples"].splitlines()) for block in examples}
    assert numbers == {"provide_handoff_options": 13, "execute_handoff": 5, "handoff_carry_on": 2}, (
        "as with the importer"
    )
    assert command("init", str(project), "--yes", "--copy").stdout.startswith("Nothing to change.")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("domain.yml", "version: '3.1'\nintents: [greet]\n", "'intents' is written in one line"),
        ("domain.yml", "{intents: [greet]}\n", "written in one line with braces"),
        ("credentials.yml", "{rest: {}}\n", "written in one line with braces"),
        ("actions/actions.py", "class\n", "isn't valid Python"),
        ("credentials.yml", "rest:\n  x: \xe9\n", "credentials.yml isn't UTF-8 text (line 2)"),
    ],
)
def test_what_can_only_be_half_done_is_not_begun(project: Path, name: str, text: str, sentence: str) -> None:
    (project / "endpoints.yml").write_text("action_endpoint:\n  url: http://localhost:5055/webhook\n")
    (project / name).write_bytes(text.encode("latin-1"))
    before = everything(project)
    done = command("init", str(project), "--yes", "--copy")
    assert done.returncode == 1
    assert sentence in done.stdout + done.stderr
    assert everything(project) == before


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "with a mark"])
def test_line_ends_are_kept(project: Path, mark: bytes) -> None:
    paths = [project / name for name in ("config.yml", "credentials.yml", "domain.yml", "actions/actions.py")]
    (project / "endpoints.yml").write_bytes(b"action_endpoint:\r\n  url: http://localhost:5055/webhook\r\n")
    for path in paths:
        path.write_bytes(mark + path.read_bytes().replace(b"\n", b"\r\n"))
    before = {path: path.read_bytes() for path in paths}
    assert command("init", str(project), "--yes", "--copy").returncode == 0
    assert command("init", str(project), "--yes").returncode == 0
    for path in paths:
        after = path.read_bytes()
        assert after != before[path]
        assert after.startswith(mark)
        assert after.count(b"\n") == after.count(b"\r\n")
        assert path.with_name(f"{path.name}.bak").read_bytes() == before[path]


def test_a_file_with_both_kinds_of_line_ends_keeps_both(project: Path) -> None:
    path = project / "credentials.yml"
    path.write_bytes(b"# one\r\n# two\nrest:\r\ncmdline:\n  x: 1\r\n")
    assert command("init", str(project), "--yes").returncode == 0
    assert path.read_bytes().startswith(b"# one\r\n# two\nrasa_handoff.HandoffChannel:\r\n")
    assert path.read_bytes().endswith(b"    rest:\r\ncmdline:\n  x: 1\r\n")


def test_who_may_not_read_the_file_may_not_read_the_copy(project: Path) -> None:
    (project / "credentials.yml").chmod(0o600)
    assert command("init", str(project), "--yes").returncode == 0
    assert (project / "credentials.yml.bak").stat().st_mode & 0o777 == 0o600


def test_the_projects_slots_are_offered(project: Path) -> None:
    domain = project / "domain.yml"
    slots = "slots:\n  city:\n    type: text\n  'on':\n    type: text\n  requested_slot:\n    type: text\n"
    domain.write_text(domain.read_text() + slots)
    done = command("init", str(project), "--yes", "--bot-id", "shop: 2", "--desk-url", "http://localhost:5075")
    assert done.returncode == 0, done.stdout
    channel = yaml(project / "credentials.yml")["rasa_handoff.HandoffChannel"]
    assert channel["slots"] == ["city", "on"]
    assert "settable_slots" not in channel
    assert (channel["bot_id"], channel["desk"]) == ("shop: 2", {"url": "http://localhost:5075"})
    assert '  # settable_slots: [city, "on"]    # what agents may set' in (project / "credentials.yml").read_text()
    assert "rasa-handoff serve --port 5075" in done.stdout
    again = command("init", str(project), "--yes", "--bot-id", "other")
    assert again.returncode == 1
    assert "has rasa_handoff.HandoffChannel already: change its bot_id and desk.url there." in again.stdout
    assert command("init", str(project), "--yes", "--desk-url", "localhost").stderr.startswith(
        "--desk-url is 'localhost'"
    )


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("config.yml", "a: [1", "config.yml isn't valid YAML (line"),
        ("config.yml", "pipeline: []\npolicies: []\nimporters: [{name: X}]\n", "'importers' isn't a list"),
        ("config.yml", "{pipeline: [], policies: []}\n", "written in one line with braces"),
        ("credentials.yml", "rest:\n rasa_handoff.HandoffChannel: x: y\n", "credentials.yml isn't valid YAML"),
        ("credentials.yml", "rasa_handoff.HandoffChannel: {bot_ids: x, desk: {url: u}}\n", "has no setting 'bot_ids'"),
        ("credentials.yml", "{rest: {}}\n", "written in one line with braces"),
        ("credentials.yml", "rasa_handoff.HandoffChannel: {}\nrest:\n", "move 'rest' under"),
        ("credentials.yml", "- rest\n", "should hold keys and values"),
    ],
)
def test_what_it_cannot_do_it_says(project: Path, name: str, text: str, sentence: str) -> None:
    (project / name).write_text(text)
    done = command("init", str(project), "--yes")
    assert done.returncode == 1
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (project / name).read_text() == text


def test_a_folder_without_a_project_is_said(tmp_path: Path) -> None:
    done = command("init", str(tmp_path), "--yes")
    assert done.returncode == 1
    assert done.stderr.startswith("There is no config.yml in")


@pytest.mark.parametrize("options", [[], ["--copy"]])
def test_rasa_validates_the_project_afterwards(project: Path, options: list[str]) -> None:
    domain = "domain.yml" if options else "domain"
    if domain == "domain":
        (project / "domain").mkdir()
        (project / "domain.yml").rename(project / "domain" / "domain.yml")
    assert command("init", str(project), "--yes", *options).returncode == 0
    done = subprocess.run(
        [*forked_rasa(), "data", "validate", "--fail-on-warnings", "--domain", domain],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
