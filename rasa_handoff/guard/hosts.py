"""The names under which a server may be asked: a foreign page whose name leads here (DNS rebinding) has none of them."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from rasa_handoff.guard.requests import is_address, is_loopback
from rasa_handoff.vocabulary.errors import HandoffError


class Hosts:
    """``named``: by whoever runs the server. An address in digits always fits, since no name leads a page to it; so health
    checks by address work. Names are compared without their ports.

    Others are refused (``strict``) where the server listens on its own machine alone, or where hosts are named by
    :meth:`allow`. Elsewhere machines of one network have many names for each other, and whoever comes shows a token or a
    password.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._names = {_name(host) for host in named}
        self.strict = False

    def __str__(self) -> str:
        return ", ".join(sorted(self._names | {"localhost"}))

    def allow(self, named: Iterable[str]) -> None:
        """These as well, and from now on no others."""
        names = {_name(host) for host in named}
        self._names |= names
        self.strict = self.strict or bool(names)

    def listens_on(self, host: str) -> None:
        """The address that the server listens on."""
        if is_loopback(f"[{host}]" if ":" in host else host):
            self.strict = True
        elif host and not is_address(host):
            self._names.add(_name(host))

    def fits(self, host: str | None) -> bool:
        """``host``: what a request says; None, as old programs leave it out and browsers never do, fits."""
        if host is None or not self.strict or is_loopback(host):
            return True
        name = _name(host)
        return is_address(name) or name in self._names


def read_hosts(given: Iterable[str]) -> list[str]:
    """The setting ``--allowed-host``.

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
