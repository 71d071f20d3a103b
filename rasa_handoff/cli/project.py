"""A Rasa project in a folder, read without Rasa."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rasa_handoff.cli import text_files
from rasa_handoff.presets.examples import examples_in
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.settings_errors import VARIABLE, expanded


class NotYaml(HandoffError):
    """A file isn't YAML, or not of the shape that Rasa reads. The sentence names the file, and the line or the key."""


SHAPES: Final[Mapping[str, Mapping[str, tuple[Any, Any]]]] = {
    "config.yml": {"importers": (list, object), "pipeline": (list, object), "policies": (list, object)},
    "endpoints.yml": dict.fromkeys(("action_endpoint", "tracker_store", "lock_store", "event_broker"), (dict, object)),
    "domain": {
        "intents": (list, object),
        "entities": (list, object),
        "slots": (dict, dict),
        "responses": (dict, list),
        "forms": (dict, dict),
        "actions": (list, object),
    },
    "data": {"rules": (list, dict), "stories": (list, dict)},
}
"""The shape of a key's value: a list or a mapping, and the type of its entries. Rasa fails on other shapes too, less clearly."""


_SHAPE_NAMES: Final[Mapping[Any, str]] = {list: "a list", dict: "keys and values", str: "text"}


class Project:
    """The files of a project, each read when it is first used. A missing file is empty.

    Raises:
        HandoffError: the folder is no Rasa project.
        NotYaml: a file can't be read.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.yml").is_file():
            raise HandoffError(f"There is no config.yml in '{folder}'. Give the folder of a Rasa project.")
        self.folder = folder

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.yml``."""
        return self._mapping("config.yml")

    @cached_property
    def credentials(self) -> dict[str, Any]:
        """``credentials.yml``, with environment variables filled in."""
        return self._mapping("credentials.yml")

    @cached_property
    def endpoints(self) -> dict[str, Any]:
        """``endpoints.yml``, with environment variables filled in."""
        return self._mapping("endpoints.yml")

    @cached_property
    def domain(self) -> dict[str, Any]:
        """The domain: ``domain.yml`` and all files in a folder ``domain``."""
        whole: dict[str, Any] = {}
        for path in self.domain_files():
            for key, body in shaped(read_yaml(path), "domain", path.name).items():
                _merge(whole, key, body)
        return whole

    @cached_property
    def examples(self) -> dict[str, int]:
        """The number of NLU examples of each intent in the project's own files."""
        whole: Counter[str] = Counter()
        for path in self.data_files():
            whole.update(examples_in(read_yaml(path)))
        return dict(whole)

    @property
    def has_action_server(self) -> bool:
        """Whether ``endpoints.yml`` names an action server."""
        return bool(self.endpoints.get("action_endpoint"))

    @property
    def channel(self) -> Any:
        """The settings under HandoffChannel; None if it isn't in ``credentials.yml``."""
        return self.credentials.get(CHANNEL_NAME)

    def domain_files(self) -> list[Path]:
        """Return all files that hold a part of the domain."""
        single = self.folder / "domain.yml"
        return [*([single] if single.is_file() else []), *yaml_files(self.folder / "domain")]

    def data_files(self) -> list[Path]:
        """Return all training data files."""
        return yaml_files(self.folder / "data")

    def actions_file(self) -> Path | None:
        """Return the file in which the package's actions are imported, or would be; None if the project has none."""
        for name in ("actions/actions.py", "actions.py", "actions/__init__.py"):
            if (self.folder / name).is_file():
                return self.folder / name
        return None

    def variables(self) -> list[tuple[str, str]]:
        """Return the environment variables that the project's files name as ``${NAME}``, each with its file."""
        found: dict[tuple[str, str], None] = {}
        for name in ("credentials.yml", "endpoints.yml"):
            path = self.folder / name
            lines = text_files.read(path).splitlines() if path.is_file() else []
            for line in lines:
                found |= {(each, name): None for each in VARIABLE.findall(line.split("#")[0])}
        return list(found)

    def _mapping(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return shaped(dict(expanded(read_yaml(path))), name, name) if path.is_file() else {}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping from a file.

    Raises:
        NotYaml: it isn't one; the sentence names the file and the line.
    """
    return parse_yaml(text_files.read(path), path.name)


def shaped(content: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return a file's content, if it has the shape of its kind.

    Raises:
        NotYaml: it hasn't; the sentence names the key.
    """
    for key, (outer, inner) in SHAPES.get(kind, {}).items():
        body = content.get(key)
        if body is None:
            continue
        if not isinstance(body, outer):
            raise NotYaml(
                f"{name}: '{key}' should be {_SHAPE_NAMES[outer]}, but is {_SHAPE_NAMES.get(type(body), repr(body))}."
            )
        for entry in body.values() if isinstance(body, dict) else body:
            if entry is not None and not isinstance(entry, inner):
                raise NotYaml(
                    f"{name}: what stands under '{key}' should each be {_SHAPE_NAMES[inner]}, but one is {entry!r}."
                )
    return content


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Parse a mapping in a YAML text. ``name``: the file's name, for the error.

    Raises:
        NotYaml: it isn't one; the sentence names the file and the line.
    """
    try:
        content = YAML(typ="safe").load(text)  # with the parser that Rasa uses, which accepts less than the pure one
    except YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        reason = getattr(problem, "problem", None) or "it can't be read"
        advice = _advice_on_quotes(text, mark.line if mark else -1) or "Mend it and try again."
        raise NotYaml(f"{name} isn't valid YAML{line}: {reason}. {advice}") from problem
    if content is not None and not isinstance(content, dict):
        raise NotYaml(f"{name} should hold keys and values, but holds a {type(content).__name__}.")
    return content or {}


def _advice_on_quotes(text: str, number: int) -> str | None:
    """Return advice if the line with this number (from 0) has an address in braces without quotes, else None."""
    line = "".join(text.split("\n")[number : number + 1])
    address = re.search(r"[{,].*?:\s*(https?://[^\s,}]+)", line)
    return f'Within braces an address needs quotes: write "{address[1]}".' if address else None


def yaml_files(folder: Path) -> list[Path]:
    """Return all YAML files in a folder and below."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yml", ".yaml"))


def _merge(whole: dict[str, Any], key: str, body: Any) -> None:
    """Add what a file has under a key to what other files have there. An empty key adds nothing."""
    if isinstance(body, dict):
        whole[key] = {**whole.get(key, {}), **body}
    elif isinstance(body, list):
        whole[key] = [*whole.get(key, []), *body]
    elif body is not None:
        whole[key] = body
