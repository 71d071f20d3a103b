"""The preset's own texts, for a project whose domain lacks one of the relay's responses. Their source is the preset's domain."""

import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from ruamel.yaml import YAML

PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@cache
def _responses() -> dict[str, str]:
    text = (files("rasa_handoff") / "presets" / "common" / "domain.yml").read_text(encoding="utf-8")
    responses = YAML(typ="safe").load(text)["responses"]
    return {name: variations[0].get("text", "") for name, variations in responses.items()}


def preset_text(response: str, values: dict[str, Any]) -> str:
    """Return the preset's text of a response, with the values in its placeholders; empty for one that it doesn't have."""

    def filled(placeholder: re.Match[str]) -> str:
        return str(values.get(placeholder[1], placeholder[0]))

    return PLACEHOLDER.sub(filled, _responses().get(response, ""))
