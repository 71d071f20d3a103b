"""The files of the preset, selected by the project's choice. Needs neither Rasa nor a YAML library."""

from pathlib import Path

import msgspec

from rasa_handoff.protocol.errors import SettingsError

HERE = Path(__file__).parent


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The project's settings of the importer in ``config.yml``.

    ``actions``: the package's actions run on the project's action server. ``contact``: ask for name and e-mail first (needs
    ``actions``). ``fallback``: two-stage fallback that ends in the options.
    """

    actions: bool = False
    contact: bool = False
    fallback: bool = True


def read_choice(settings: dict[str, object]) -> Choice:
    """Read and check the choice.

    Raises:
        SettingsError: a key is unknown or its value wrong; the message says what to write.
    """
    for key, value in settings.items():
        if key not in Choice.__struct_fields__:
            known = ", ".join(Choice.__struct_fields__)
            raise SettingsError(f"rasa_handoff.HandoffImporter has no setting '{key}'. It has: {known}.")
        if not isinstance(value, bool):
            raise SettingsError(f"rasa_handoff.HandoffImporter: write '{key}: true' or '{key}: false', not {value!r}.")
    choice = msgspec.convert(settings, Choice)
    if choice.contact and not choice.actions:
        raise SettingsError(
            "rasa_handoff.HandoffImporter: 'contact: true' checks answers, so it needs 'actions: true' too."
        )
    return choice


def preset_files(choice: Choice) -> list[Path]:
    """Return the YAML files of the preset: domains, NLU examples and rules."""
    return [path for folder in _folders(choice) for path in _files_in(folder, choice)]


def _folders(choice: Choice) -> list[str]:
    wanted = {
        "common": True,
        "without_actions": not choice.actions,
        "with_actions": choice.actions,
        "contact": choice.contact,
        "fallback": choice.fallback,
    }
    return [folder for folder, is_wanted in wanted.items() if is_wanted]


def _files_in(folder: str, choice: Choice) -> list[Path]:
    files = sorted((HERE / folder).glob("*.yml"))
    # With the contact form, the form opens instead of the options.
    return [path for path in files if not (choice.contact and path.name == "options_rules.yml")]
