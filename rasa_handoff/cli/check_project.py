"""Doctor's checks of the project's own files: channel, importer, dialogues, forms, actions, responses."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, Final

from rasa_handoff.cli import edit_config, text_files
from rasa_handoff.cli.channel_sources import may_have_mailbox
from rasa_handoff.cli.edit_actions import LINE, imports_actions
from rasa_handoff.cli.edit_credentials import is_channel
from rasa_handoff.cli.findings import Finding, mend, ok, warn
from rasa_handoff.cli.project import Project, read_yaml, shaped
from rasa_handoff.presets.examples import FEW, usual_number
from rasa_handoff.presets.parts import Choice, preset_files, read_choice
from rasa_handoff.protocol import names
from rasa_handoff.protocol.channel_capabilities import STOCK, STOCK_CHANNELS
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME, IntentSettings, Settings, read_settings, unknown_slots
from rasa_handoff.protocol.errors import HandoffError, MarkerError, SettingsError
from rasa_handoff.protocol.markers import OptionsRequest, read_directives, read_marker

OUT_OF_SCOPE: Final = "out_of_scope"
"""Rasa's name for the intent of requests that a bot can't fulfil."""

WEB_CHANNELS: Final = tuple(one.name for one in STOCK if one.own_client)
"""Channels whose customers are identified by an id that they send themselves."""


def check_channel(project: Project) -> Iterator[Finding]:
    """Check that HandoffChannel is in ``credentials.yml`` and that its settings are right."""
    if CHANNEL_NAME not in project.credentials:
        if not any(name in project.credentials for name in names.PLATFORM_CHANNELS):
            yield mend(f"credentials.yml has no {CHANNEL_NAME}: run rasa-handoff init.")
        return
    try:
        settings = read_settings(project.channel)
    except SettingsError as problem:
        yield mend(str(problem))
    else:
        wrong = [*_check_desk_class(project, settings), *_check_hosted(project, settings)]
        yield from wrong or [ok(f"HandoffChannel hosts {', '.join(settings.channels)}.")]


def _check_desk_class(project: Project, settings: Settings) -> Iterator[Finding]:
    module = settings.desk.type.rpartition(".")[0]
    if module and not _can_be_found(project, module):
        yield mend(
            f"{CHANNEL_NAME}: desk.type '{settings.desk.type}' can't be found: write the path of its class, from this folder."
        )


def _check_hosted(project: Project, settings: Settings) -> Iterator[Finding]:
    """Check that each hosted channel exists, as far as that works without Rasa."""
    for key in settings.channels:
        if "." in key:
            if not _can_be_found(project, key.rpartition(".")[0]):
                yield mend(f"{CHANNEL_NAME}: the channel '{key}' can't be found: write the path of its class.")
        elif key not in STOCK_CHANNELS:
            near = get_close_matches(key, STOCK_CHANNELS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(STOCK_CHANNELS)}."
            yield mend(f"{CHANNEL_NAME} knows no channel '{key}', or can't host it: {hint}")


def _can_be_found(project: Project, module: str) -> bool:
    """Return whether the module is there, in the project or among the installed packages.

    Raises:
        HandoffError: a package that it is in fails when it is imported.
    """
    sys.path.insert(0, str(project.folder))  # as Rasa does
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
    except Exception as problem:  # from the package that the module is in, which is imported here
        raise HandoffError(f"{CHANNEL_NAME}: '{module}' can't be imported ({problem!r}): mend it.") from problem
    finally:
        sys.path.remove(str(project.folder))


def check_customer_tokens(project: Project) -> Iterator[Finding]:
    """Warn if the id of a conversation is enough to use it."""
    if CHANNEL_NAME not in project.credentials:
        return
    try:
        settings = read_settings(project.channel)
    except SettingsError:
        return  # check_channel reports it
    web = [key for key in settings.channels if key in WEB_CHANNELS]
    if web and settings.customer_tokens == "off":
        yield warn(
            f"customer_tokens is off: whoever knows a conversation's id can read it, speak in it and end it ({', '.join(web)}). "
            f"Keep ids random and secret, or see docs/customer-tokens.md."
        )
    fetched = [
        key for key in settings.channels if key == "rest" or ("." in key and may_have_mailbox(project.folder, key))
    ]
    if fetched and settings.customer_tokens == "off":
        yield ok(
            f"Clients can't wait for messages at GET /webhooks/<name>/handoff/messages ({', '.join(fetched)}): with "
            f"customer_tokens off there is no such address, since whoever guesses an id could listen."
        )


def check_sessions(project: Project) -> Iterator[Finding]:
    """Check that a customer's page keeps its conversation when it reloads."""
    with contextlib.suppress(SettingsError):  # check_channel reports it
        for name, own in read_settings(project.channel).channels.items():
            if name == "socketio" and not (own or {}).get("session_persistence"):
                yield warn(
                    "The channel socketio has no session_persistence: a customer whose page reloads, or loses its "
                    "connection, begins a new conversation, and the agent talks to nobody. Write "
                    "'session_persistence: true' below it."
                )


def check_variables(project: Project) -> Iterator[Finding]:
    """Check that the environment variables in the files are set: Rasa doesn't start without them."""
    for name, file in project.variables():
        if name not in os.environ:
            yield warn(
                f"{file} takes {name} from the environment, and it isn't set here: Rasa doesn't start without it."
            )


def check_outside_channels(project: Project) -> Iterator[Finding]:
    """Check that no channel is configured beside HandoffChannel: messages on such a channel aren't handed over."""
    if CHANNEL_NAME in project.credentials:
        for key in project.credentials:
            if is_channel(key):
                yield mend(
                    f"credentials.yml: move '{key}' under 'channels' of {CHANNEL_NAME}. "
                    "Conversations on channels outside it aren't handed over."
                )


def check_importer(project: Project) -> Iterator[Finding]:
    """Check that the preset is there, by the importer or as files of the project."""
    if not edit_config.has_importer(project.config):
        yield from _check_own_dialogues(project)
        return
    try:
        choice = choice_of(project)
    except SettingsError as problem:
        yield mend(f"config.yml: {problem}")
        return
    yield ok("The preset's dialogues come with the importer.")
    for key in edit_config.CHOSEN_BY_RASA:
        if project.config.get(key) is None:
            yield mend(
                f"config.yml: write out '{key}'; with several importers Rasa can't choose it. rasa-handoff init writes it."
            )
    if edit_config.RASAS_IMPORTER not in [_name(entry) for entry in project.config["importers"]]:
        yield warn("config.yml: RasaFileImporter isn't among the importers, so the project's own data may not be read.")
    yield from _check_fallback(project, choice)


def check_actions(project: Project) -> Iterator[Finding]:
    """Check that there is an action server with the package's actions, if config.yml says ``actions: true``."""
    try:
        choice = choice_of(project)
    except SettingsError:
        return
    if not choice.actions:
        return
    if not project.endpoints.get("action_endpoint"):
        yield mend(
            "config.yml says 'actions: true', and endpoints.yml has no action_endpoint: add it, or say 'actions: false'."
        )
    path = project.actions_file()
    if path is None:
        yield warn(f"No actions.py here: the action server's actions.py must have the line: {LINE.strip()}")
    elif imports_actions(text_files.read(path)):
        yield ok("The package's actions are imported.")
    else:
        yield mend(f"{path.relative_to(project.folder)}: add the line: {LINE.strip()}")


def check_forms(project: Project) -> Iterator[Finding]:
    """Check that forms ignore the intents that start and end a handoff, so that none is taken for an answer."""
    intents = _intents(project)
    wanted = [intents.execute, intents.options, intents.ended, names.CARRY_ON_INTENT]
    for form, body in (project.domain.get("forms") or {}).items():
        ignored = (body or {}).get("ignored_intents") or []
        missing = [intent for intent in wanted if intent not in ignored]
        if missing and form != names.CONTACT_FORM:
            yield warn(
                f"The form '{form}' takes what is said about a handoff for an answer: add to its ignored_intents: "
                f"{', '.join(missing)}."
            )


def check_examples(project: Project) -> Iterator[Finding]:
    """Check that the project's own intents have enough examples.

    Otherwise its NLU takes ordinary messages for a request for a person.
    """
    ours = {*names.PRESET_INTENTS, *(getattr(_intents(project), name) for name in ("options", "execute", "ended"))}
    own = {intent: number for intent, number in project.examples.items() if intent not in ours}
    usual = usual_number(own.values())
    if usual is not None and usual < FEW:
        advice = "" if OUT_OF_SCOPE in own else f", and an intent '{OUT_OF_SCOPE}' with what your bot can't do"
        yield warn(
            f"The project's intents have {usual} examples each (the median), so the NLU may take other words for a request for a "
            f"person: write about {FEW} or more for each{advice} ('Words that aren't a request' in docs/add-the-handoff.md)."
        )


def check_slots(project: Project) -> Iterator[Finding]:
    """Check that the slots which agents see, or may set, are in the domain; without a finding if they are."""
    try:
        settings, choice = read_settings(project.channel), choice_of(project)
    except SettingsError:
        return
    own = project.domain.get("slots") or {}
    if not project.domain_files():
        return
    known = {*own, *names.RASAS_SLOTS}
    if edit_config.has_importer(project.config):
        for path in preset_files(choice):
            known |= set(read_yaml(path).get("slots") or ())
    for sentence in unknown_slots(settings, known):
        yield mend(sentence)
    if own and not settings.slots:
        yield warn(
            f"{CHANNEL_NAME}: agents see nothing of what the bot knows: write 'slots: [{', '.join(own)}]', without "
            "those that they shouldn't see."
        )


def choice_of(project: Project) -> Choice:
    """Return the settings of the preset's importer in config.yml; the defaults if the importer isn't there.

    Raises:
        SettingsError: a setting is wrong.
    """
    for entry in project.config.get("importers") or ():
        if _name(entry) == edit_config.IMPORTER and isinstance(entry, dict):
            return read_choice({key: value for key, value in entry.items() if key != "name"})
    return Choice()


def _check_own_dialogues(project: Project) -> Iterator[Finding]:
    """Check that the project answers the intents of a handoff itself, where it has no importer for them."""
    listed = {str(_name(entry)) for entry in project.domain.get("intents") or ()}
    ruled = _intents_in_rules(project)
    intents = _intents(project)
    for intent in (intents.options, intents.execute, intents.ended):
        if intent not in listed:
            yield mend(f"The intent '{intent}' is not in the domain: run rasa-handoff init, or add it.")
        elif intent not in ruled:
            yield mend(f"No rule or story answers '{intent}': run rasa-handoff init, or add one.")
    if {intents.options, intents.execute, intents.ended} <= listed & ruled:
        yield ok("The dialogues are the project's own.")


def _check_fallback(project: Project, choice: Choice) -> Iterator[Finding]:
    """Check that a fallback of the project's own offers the departments, as the preset's does."""
    own = (project.domain.get("responses") or {}).get("utter_default")
    if choice.fallback and own and not any(_has_options(each) for each in own):
        yield warn(
            "utter_default is the project's own: add 'custom: {handoff_options: {}}' so that the fallback ends in the options."
        )


def _has_options(variant: Any) -> bool:
    custom = variant.get("custom") if isinstance(variant, dict) else None
    return isinstance(custom, dict) and names.OPTIONS_MARKER in custom


def _intents(project: Project) -> IntentSettings:
    try:
        return read_settings(project.channel).intents
    except SettingsError:
        return IntentSettings()


def _intents_in_rules(project: Project) -> set[Any]:
    found = set()
    for path in project.data_files():
        data = shaped(read_yaml(path), "data", path.name)
        for block in [*(data.get("rules") or ()), *(data.get("stories") or ())]:
            steps = block.get("steps")
            found |= {str(step.get("intent")) for step in _listed(steps) if isinstance(step, dict)}
    return found


def _listed(value: Any) -> Sequence[Any]:
    """Return a list as it is, and nothing of what should be one: `rasa data validate` names it."""
    return value if isinstance(value, list) else ()


def _name(entry: Any) -> Any:
    if isinstance(entry, dict):
        return entry.get("name") or next(iter(entry), None)
    return entry


def departments_named(project: Project, execute: str) -> Iterator[tuple[str, str]]:
    """Yield the departments that markers and buttons of the project's responses name, each after the response's name.

    ``execute``: the intent that starts a handoff.
    """
    for name, variants in (project.domain.get("responses") or {}).items():
        for variant in variants if isinstance(variants, list) else ():
            if not isinstance(variant, dict):
                continue
            with contextlib.suppress(MarkerError):  # check_markers reports it
                marker = read_marker(variant.get("custom"))
                request = marker.request if isinstance(marker, OptionsRequest) else marker
                if request is not None and request.department is not None:
                    yield name, request.department
            for button in variant.get("buttons") or ():
                if (said := _department_in(button, execute)) is not None:
                    yield name, said


def _department_in(button: Any, execute: str) -> str | None:
    """Return the department in a button's payload, such as ``/execute_handoff{"department": "billing"}``; None if none is."""
    payload = str(button.get("payload") or "").strip() if isinstance(button, dict) else ""
    if not payload.startswith(f"/{execute}{{"):
        return None
    try:
        entities = json.loads(payload[len(execute) + 1 :])
    except ValueError:
        return None
    said = entities.get(names.DEPARTMENT_ENTITY) if isinstance(entities, dict) else None
    return said if isinstance(said, str) else None


def check_markers(project: Project) -> Iterator[Finding]:
    """Check that each marker and directive in the domain can be read; without a finding if all can."""
    for name, variants in (project.domain.get("responses") or {}).items():
        for variant in variants if isinstance(variants, list) else ():
            custom = variant.get("custom") if isinstance(variant, dict) else None
            try:
                read_marker(custom)
                read_directives(custom)
            except MarkerError as problem:
                yield mend(f"The response {name}: {problem}")
