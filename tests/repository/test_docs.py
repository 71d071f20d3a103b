"""The documents list what there is: settings, responses, channels, states. Their examples can be read, their links followed."""

import argparse
import re
from typing import Any

import pytest
from rasa.core.channels import BUILTIN_CHANNELS
from rasa.shared.utils.io import read_yaml
from ruamel.yaml import YAML

from rasa_handoff.cli import serve
from rasa_handoff.core import assignment, control
from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings
from rasa_handoff.platforms.liveperson.settings import EndpointSettings, LivePersonSettings
from rasa_handoff.protocol.channel_settings import EXAMPLES, DeskSettings, Settings, TimerSettings
from rasa_handoff.protocol.limits import Limits
from rasa_handoff.protocol.markers import HandoffRequest
from tests.support.paths import ROOT

SETTINGS = (ROOT / "docs" / "settings.md").read_text()


@pytest.mark.parametrize(
    "drawing",
    [control.MACHINE.drawing(control.Control.BOT), assignment.MACHINE.drawing()],
    ids=["control", "assignment"],
)
def test_the_drawing_is_the_table(drawing: str) -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    assert drawing in text, f"docs/design.md draws another table than:\n{drawing}"


def test_every_response_is_listed_and_no_other() -> None:
    domain = YAML(typ="safe").load((ROOT / "rasa_handoff/presets/common/domain.yml").read_text())
    assert set(re.findall(r"`(utter_handoff_\w+)`", SETTINGS)) == set(domain["responses"])


@pytest.mark.parametrize(
    "names",
    [
        [name for name in Settings.__struct_fields__ if name != "desk"],
        [f"desk.{name}" for name in DeskSettings.__struct_fields__],
        [f"timers.{name}" for name in TimerSettings.__struct_fields__],
        [f"limits.{name}" for name in Limits.__struct_fields__],
        HandoffRequest.__struct_fields__,
    ],
    ids=["settings", "desk", "timers", "limits", "marker"],
)
def test_every_key_is_explained(names: list[str]) -> None:
    missing = [name for name in names if f"| `{name}` |" not in SETTINGS]
    assert missing == []


def test_every_option_of_serve_is_explained() -> None:
    part = SETTINGS.partition("## The options of `rasa-handoff serve`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(--[\w-]+)(?: ([\w=:]+))?` \|", part, re.MULTILINE)
    parser = argparse.ArgumentParser(add_help=False)
    serve.describe(parser)
    assert sorted(rows) == sorted((one.option_strings[-1], _value_of(one)) for one in parser._actions)


def _value_of(option: argparse.Action) -> str:
    return "" if option.nargs == 0 else str(option.metavar or option.dest.upper())


@pytest.mark.parametrize(
    ("page", "kinds"),
    [("kommunicate.md", [KommunicateSettings]), ("liveperson.md", [LivePersonSettings, EndpointSettings])],
)
def test_every_key_of_a_platforms_channel_is_explained(page: str, kinds: list[Any]) -> None:
    text = (ROOT / "docs" / "adapters" / page).read_text()
    keys = [name for kind in kinds for name in kind.__struct_fields__]
    assert [name for name in keys if f"| `{name}` |" not in text] == []


def test_every_channel_has_its_line() -> None:
    hosting = (ROOT / "docs" / "host-channels.md").read_text()
    assert [name for name in BUILTIN_CHANNELS if not re.search(rf"^\| {name} \|", hosting, re.M)] == ["cmdline"]


PAGES = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md")))]
BLOCKS = [
    (page, block) for page in PAGES for block in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.S)
]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[f"{page}-{number}" for number, (page, _) in enumerate(BLOCKS)])
def test_rasa_can_read_every_example(page: str, block: str) -> None:
    assert read_yaml(re.sub(r"\$\{\w+\}", "x", block))


@pytest.mark.parametrize("example", EXAMPLES.values())
def test_rasa_can_read_what_errors_advise(example: str) -> None:
    assert read_yaml(example)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"
