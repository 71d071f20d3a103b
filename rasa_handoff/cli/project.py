"""A Rasa project in a folder, as the command reads it: without Rasa."""

from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rasa_handoff.vocabulary.errors import HandoffError
from rasa_handoff.vocabulary.settings import CHANNEL_NAME
from rasa_handoff.vocabulary.variables import VARIABLE, expanded


class NotYaml(HandoffError):
    """A file isn't YAML. Names the file and the line."""


class Project:
    """The files of a project, read when asked for. A missing one is empty.

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
            for key, body in read_yaml(path).items():
                _merge(whole, key, body)
        return whole

    @property
    def channel(self) -> Any:
        """What stands under HandoffChannel; None where it isn't there."""
        return self.credentials.get(CHANNEL_NAME)

    def domain_files(self) -> list[Path]:
        """All files that hold a part of the domain."""
        single = self.folder / "domain.yml"
        return [*([single] if single.is_file() else []), *yaml_files(self.folder / "domain")]

    def data_files(self) -> list[Path]:
        """All training data files."""
        return yaml_files(self.folder / "data")

    def actions_file(self) -> Path | None:
        """Where the project's actions are, or could be, imported."""
        for name in ("actions/actions.py", "actions.py", "actions/__init__.py"):
            if (self.folder / name).is_file():
                return self.folder / name
        return None

    def variables(self) -> list[tuple[str, str]]:
        """The environment variables that files of the project name as ``${NAME}``, each with its file."""
        found: dict[tuple[str, str], None] = {}
        for name in ("credentials.yml", "endpoints.yml"):
            path = self.folder / name
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            for line in lines:
                found |= {(each, name): None for each in VARIABLE.findall(line.split("#")[0])}
        return list(found)

    def _mapping(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return dict(expanded(read_yaml(path))) if path.is_file() else {}


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping.

    Raises:
        NotYaml: it isn't one; names the file and the line.
    """
    return parse_yaml(path.read_text(encoding="utf-8"), path.name)


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """The mapping in a YAML text; ``name`` of the file is for the error."""
    try:
        content = YAML(typ="safe").load(text)  # by the parser Rasa has, which takes less than the pure one
    except YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        reason = getattr(problem, "problem", None) or "it can't be read"
        raise NotYaml(f"{name} isn't valid YAML{place}: {reason}. Mend it and try again.") from problem
    if content is not None and not isinstance(content, dict):
        raise NotYaml(f"{name} should hold keys and values, but holds a {type(content).__name__}.")
    return content or {}


def yaml_files(folder: Path) -> list[Path]:
    """All YAML files in a folder and below."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yml", ".yaml"))


def _merge(whole: dict[str, Any], key: str, body: Any) -> None:
    if isinstance(body, dict):
        whole[key] = {**whole.get(key, {}), **body}
    elif isinstance(body, list):
        whole[key] = [*whole.get(key, []), *body]
    else:
        whole[key] = body
