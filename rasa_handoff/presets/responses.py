"""The preset's own texts, for a project whose domain lacks one of the relay's responses. Their source is the preset's domain."""

from functools import cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML


@cache
def _responses() -> dict[str, str]:
    text = (files("rasa_handoff") / "presets" / "common" / "domain.yml").read_text(encoding="utf-8")
    responses = YAML(typ="safe").load(text)["responses"]
    return {name: variations[0].get("text", "") for name, variations in responses.items()}


def preset_text(response: str, values: dict[str, Any]) -> str:
    """Return the preset's text of a response; empty for one that it doesn't have."""
    text = _responses().get(response, "")
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
