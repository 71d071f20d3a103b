"""The host names that a server accepts: a foreign page whose name leads here (DNS rebinding) uses none of them."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from rasa_handoff.guard.socketio_requests import is_address, is_loopback
from rasa_handoff.protocol.errors import HandoffError


class Hosts:
    """The accepted names. ``named``: those of the settings.

    An IP address always fits, since DNS rebinding needs a name; so health checks by address work. Names are compared without
    ports.

    Other names are refused (``strict``) if the server listens on its own machine alone, or if :meth:`allow` has named hosts.
    Elsewhere machines of one network have many names for each other, and clients need a token or a password.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._names = {_name(host) for host in named}
        self.strict = False

    def __str__(self) -> str:
        return ", ".join(sorted(self._names | {"localhost"}))

    def allow(self, named: Iterable[str]) -> None:
        """Accept these, too, and from now on no others."""
        names = {_name(host) for host in named}
        self._names |= names
        self.strict = self.strict or bool(names)

    def note_listening(self, host: str) -> None:
        """Take into account the address that the server listens on."""
        if is_loopback(f"[{host}]" if ":" in host else host):
            self.strict = True
        elif host and not is_address(host):
            self._names.add(_name(host))

    def fits(self, host: str | None) -> bool:
        """Return whether a request's host is accepted.

        A request without a host (None) is accepted: only old programs leave it out, browsers never do.
        """
        if host is None or not self.strict or is_loopback(host):
            return True
        name = _name(host)
        return is_address(name) or name in self._names


def read_hosts(given: Iterable[str]) -> list[str]:
    """Read the setting ``--allowed-host``.

    Raises:
        HandoffError: one isn't a host's name.
    """
    hosts = list(given)
    for host in hosts:
        if not re.fullmatch(r"[A-Za-z0-9_](?:[\w.-]*\w)?(?::\d{1,5})?", host, re.ASCII):
            raise HandoffError(f"'{host}' can't be an allowed host. Write a name such as desk.example.org.")
    return hosts


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
