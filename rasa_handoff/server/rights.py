"""Who may do what: one table, a row for each route, event and command, and the one place where somebody is refused.

A gateway asks :func:`check` before it calls the service, and the service asks again in the transaction for the conversation
(``must_find_for_agent``), with the asker's role as it is then. Which conversations a role sees is read out of the table, too
(:data:`SEES_EVERYTHING`). Whether an agent has a conversation is its state, so ``core/assignment.py`` refuses others (``OWN``).
Origins, pages' tokens (CSRF) and rates are looked at before, each at its own place.

``docs/security.md`` shows the table: ``tools/rights_table.py`` writes it.
"""

import enum
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from rasa_handoff.admin.commands import ADMIN
from rasa_handoff.admin.dead_letter_commands import DROP, LIST, SEND
from rasa_handoff.admin.forget_command import FORGET
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.names import (
    BOTLHALE_NAMESPACES,
    DESK_NAMESPACE,
    RELAY_MEDIA_PATH,
    RELAY_NAMESPACE,
    RELAY_TOKEN_PATH,
)
from rasa_handoff.protocol.values import Value
from rasa_handoff.server.accounts import Role


class Asker(str, enum.Enum):
    """Who asks: nobody known, a bot by its token, an account by its role, or whoever runs the server."""

    NOBODY = "nobody"
    BOT = "bot"
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    OPERATOR = "operator"


class Reach(str, enum.Enum):
    """What an asker reaches by an operation.

    ``NONE``: nothing. ``YES``: it concerns no conversation. ``LOCAL``: as the bot, where no token is asked for: the gateway then
    takes the asker for the bot. ``BOT``: the conversations of the bot itself. ``OWN``: those that the account has; a left message
    is everybody's who sees it. ``SEEN``: those of its departments (all if it serves all), those it has, and those in which the
    bot named it. ``EVERY``: every one.
    """

    NONE = "–"
    YES = "yes"
    LOCAL = "without tokens"
    BOT = "its own"
    OWN = "those they have"
    SEEN = "their departments'"
    EVERY = "every"


class Right(Value, frozen=True, kw_only=True):
    """A row of the table: what each asker reaches by an operation, and the code with which others are refused."""

    operation: str
    nobody: Reach = Reach.NONE
    bot: Reach = Reach.NONE
    agent: Reach = Reach.NONE
    supervisor: Reach = Reach.NONE
    admin: Reach = Reach.NONE
    operator: Reach = Reach.NONE
    code: str = "forbidden"

    def reach(self, asker: Asker) -> Reach:
        """Return what this asker reaches."""
        found: Reach = getattr(self, asker.value)
        return found


SENTENCES: Final = MappingProxyType(
    {
        "forbidden": "Your account isn't allowed to do this. Somebody who is an admin of the desk can.",
        "signed_out": "Please sign in again.",
        "refused": "This connection has closed, or its token isn't one of this bot's.",
        "unknown_handoff": "This conversation isn't known here.",
    }
)


def _for_all(*operations: str) -> Iterable[Right]:
    """Return rows for what needs no rights."""
    for one in operations:
        yes = Reach.YES
        yield Right(operation=one, nobody=yes, bot=yes, agent=yes, supervisor=yes, admin=yes, operator=yes)


def _for_accounts(reach: Reach, *operations: str, admin: Reach | None = None) -> Iterable[Right]:
    """Return rows for what accounts do. ``admin``: what an admin reaches, if that is something else."""
    for one in operations:
        own = reach if admin is None else admin
        yield Right(operation=one, agent=reach, supervisor=reach, admin=own, code="signed_out")


def _for_bots(*operations: str) -> Iterable[Right]:
    for one in operations:
        yield Right(operation=one, nobody=Reach.LOCAL, bot=Reach.BOT, code="refused")


def _for_operators(*operations: str) -> Iterable[Right]:
    for one in operations:
        yield Right(operation=one, operator=Reach.YES)


def event(namespace: str, name: str) -> str:
    """Return the operation of a Socket.IO event."""
    return f"{namespace} {name}"


def _events(namespace: str, *names: str) -> list[str]:
    return [event(namespace, name) for name in names]


DESK_ADD_FILE: Final = "POST /desk/media"
DESK_FETCH_FILE: Final = "GET /desk/media/{id}"
BRING_FILE: Final = f"PUT {RELAY_MEDIA_PATH}/{{id}}"
TAKE_FILE: Final = f"GET {RELAY_MEDIA_PATH}/{{id}}"
OPEN: Final = event(DESK_NAMESPACE, "open")

ROWS: Final[tuple[Right, ...]] = (
    *_for_all("GET /", "GET /login", "POST /login", "POST /logout", "GET /health", "GET /static"),
    *_for_accounts(Reach.SEEN, DESK_ADD_FILE, DESK_FETCH_FILE, admin=Reach.EVERY),
    *_for_bots(BRING_FILE, TAKE_FILE, f"GET {RELAY_TOKEN_PATH}"),
    *_for_operators(*(f"POST {ADMIN} {command}" for command in (LIST, SEND, DROP, FORGET))),
    *_for_accounts(Reach.YES, *_events(DESK_NAMESPACE, "connect", "presence")),
    *_for_accounts(Reach.SEEN, *_events(DESK_NAMESPACE, "take", "open", "media", "followed_up"), admin=Reach.EVERY),
    *_for_accounts(Reach.OWN, *_events(DESK_NAMESPACE, "message", "typing", "read", "transfer", "resolve")),
    *_for_bots(
        *_events(RELAY_NAMESPACE, "connect", "hello"),
        *_events(RELAY_NAMESPACE, "handoff.find", "handoff.initiate", "handoff.transcript", "handoff.status"),
        *_events(RELAY_NAMESPACE, "message", "message.status", "rating", "typing", "customer.presence"),
    ),
    # A client's token is looked at when it connects, its bot with each event: a socket may speak for several.
    *(
        Right(operation=event(namespace, "connect"), nobody=Reach.LOCAL, bot=Reach.YES, code="refused")
        for namespace in BOTLHALE_NAMESPACES
    ),
    *_for_bots(
        *(
            one
            for namespace in BOTLHALE_NAMESPACES
            for one in _events(namespace, "username", "from_user", "messages_to_client")
        )
    ),
    *_for_operators(
        *(
            f"rasa-handoff {name}"
            for name in ("init", "doctor", "serve", "forget", "customer-token", "move-database", "audit list")
        ),
        *(f"rasa-handoff agent {name}" for name in ("add", "list", "departments", "role", "password", "remove")),
        *(f"rasa-handoff department {name}" for name in ("add", "list", "hours", "remove")),
        *(f"rasa-handoff token {name}" for name in ("add", "list", "revoke")),
        *(f"rasa-handoff dead-letters {name}" for name in ("list", "send", "drop")),
    ),
)
TABLE: Final = MappingProxyType({row.operation: row for row in ROWS})
SEES_EVERYTHING: Final = tuple(role for role in Role if TABLE[OPEN].reach(Asker(role.value)) is Reach.EVERY)
"""The roles that see the conversations of all departments."""


def check(operation: str, asker: Asker, sees: bool | None = None) -> None:
    """Check that this asker may do this. ``sees``: whether the account sees the conversation; None: it isn't known yet, or there
    is none.

    Raises:
        Refused: they may not; with the code of the operation, or ``unknown_handoff``, as if there were no such conversation.
    """
    row = TABLE[operation]
    reach = row.reach(asker)
    if reach in (Reach.NONE, Reach.LOCAL):
        raise refusal(row.code if asker in (Asker.NOBODY, Asker.BOT) else "forbidden")
    if sees is False and reach in (Reach.OWN, Reach.SEEN):
        raise refusal("unknown_handoff")


def refusal(code: str, sentence: str | None = None) -> Refused:
    """Return the refusal with this code. ``sentence``: None is the code's own."""
    return Refused(code, sentence or SENTENCES[code])
