"""The command line ``rasa-handoff``.

Each command's module is loaded only when the command is given, so that ``--help`` answers at once and a command works where
another one's packages are missing.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from rasa_handoff import __version__
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.text import valid_text

_COMMANDS: Final = {
    "init": "put the handoff into a Rasa project",
    "doctor": "check a Rasa project and say what to mend",
    "serve": "run the live-agent server with its desk",
    "agent": "add, list and remove the desk's agents, change passwords",
    "department": "add, list and remove departments, and set their opening hours",
    "audit": "list who changed what at the desk, and who looked at what isn't theirs",
    "dead-letters": "list, send again and drop what couldn't be delivered",
    "forget": "delete what is kept of a customer's conversation",
    "customer-token": "make a token that lets one customer use one conversation",
    "token": "make, list and revoke the tokens bots sign in with",
    "move-database": "move a side's database from SQLite to Postgres or back",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    An error that a person can do something about (a wrong argument, a file that can't be read, a missing package) is one sentence
    on standard error.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _check_texts(given)
        parsed = _parser(given).parse_args(given)
        code = int(parsed.run(parsed))
        sys.stdout.flush()
        return code
    except HandoffError as problem:
        return _failed(str(problem))
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package in ("", "rasa_handoff"):
            raise
        return _failed(
            f"This command needs the package '{package}', which isn't installed here: pip install 'rasa-handoff[server]'"
        )
    except UnicodeError as problem:
        return _failed(f"Something that was given isn't UTF-8 text ({problem}). Write it in UTF-8 and try again.")
    except BrokenPipeError:  # the reader of the output (head, less) has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as problem:
        return _failed(f"{problem.filename or 'A file or an address'} can't be used: {problem.strerror or problem}.")
    except KeyboardInterrupt:
        return 130


def _failed(sentence: str) -> int:
    """Print the sentence on standard error, and return the exit code."""
    print(_red(sentence), file=sys.stderr)
    return 1


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rasa-handoff", description="Human handoff for Rasa.")
    parser.add_argument("--version", action="version", version=f"rasa-handoff {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, purpose in _COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        if name in given:
            _load(name).describe(command)
    return parser


def _check_texts(given: Sequence[str]) -> None:
    """Check that all arguments are valid text: others can't be stored, and a name with replaced characters would be another name.

    Raises:
        HandoffError: one isn't.
    """
    for argument in given:
        if valid_text(argument) != argument:
            raise HandoffError(
                f"The argument {argument!r} isn't valid UTF-8 text. Nothing was done; please type it again."
            )


def _load(name: str) -> Any:
    return import_module(f"rasa_handoff.cli.{name.replace('-', '_')}")


def _red(sentence: str) -> str:
    return f"\033[91m{sentence}\033[0m" if sys.stderr.isatty() else sentence
