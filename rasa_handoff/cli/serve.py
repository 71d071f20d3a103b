"""``rasa-handoff serve``: run the live-agent server with its desk."""

import argparse
import os

from rasa_handoff.cli.database import add_database, server_module, usable
from rasa_handoff.guard.hosts import read_hosts
from rasa_handoff.protocol.limits import read_limits
from rasa_handoff.protocol.media_limits import read_media_limits
from rasa_handoff.protocol.retention_settings import read_retention
from rasa_handoff.protocol.tokens import ADMIN_TOKEN_VARIABLE, check_admin_token


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``serve``."""
    _add_network_options(parser)
    _add_desk_options(parser)
    add_database(parser)
    parser.set_defaults(run=run)


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=5065, help="port to listen on (default: 5065)")
    parser.add_argument(
        "--open-live-agent",
        action="store_true",
        help="let browser clients of the Botlhale protocol, which can't sign in, connect from other machines too: "
        "anybody who reaches the address can then open a conversation",
    )
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="where browsers find the desk when a proxy is before it, such as https://example.org/desk "
        "(docs/behind-a-proxy.md)",
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name that requests may use for this server, beside localhost, addresses in digits and --public-url's; may be "
        "given several times; with any given, other names are refused (docs/behind-a-proxy.md)",
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="address or network of a proxy whose X-Forwarded-For and X-Forwarded-Proto are read; may be given several "
        "times (default: this machine's own)",
    )
    parser.add_argument(
        "--hsts",
        type=int,
        nargs="?",
        const=31_536_000,
        default=0,
        metavar="SECONDS",
        help="tell browsers that came by TLS to use only TLS for so long (without a number: a year)",
    )


def _add_desk_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timer",
        action="append",
        default=[],
        metavar="NAME=SECONDS",
        help="how long a state may last, such as agent_silent=120 or customer_silent=off; may be given several times "
        "(docs/settings.md lists them)",
    )
    parser.add_argument(
        "--tkinter-demo",
        nargs="?",
        const="3000:4000",
        metavar="PORT:PORT",
        help="serve the Tkinter demo's user window on this machine: the port to which it sends the customer's messages, and "
        "the port on which it takes the agent's (3000:4000)",
    )
    parser.add_argument(
        "--history-days",
        type=int,
        default=400,
        metavar="DAYS",
        help="how long the history of each handoff is kept (default: 400 days)",
    )
    parser.add_argument(
        "--audit-days", type=int, default=730, metavar="DAYS", help="how long the audit log is kept (default: 730 days)"
    )
    parser.add_argument(
        "--retention",
        action="append",
        default=[],
        metavar="NAME=DAYS",
        help="how long something is kept after it is over, such as ended_days=365; may be given several times; what isn't "
        "named is kept for ever (docs/retention.md)",
    )
    parser.add_argument(
        "--place-notices",
        default="60",
        metavar="SECONDS",
        help="how often customers who wait hear of a new place in the queue; off: only when they are next (default: 60)",
    )
    parser.add_argument(
        "--media",
        metavar="FOLDER",
        help="where pictures and files are kept: a folder, or s3://bucket/prefix of what speaks S3; off: nowhere (default: a "
        "folder beside a SQLite database; with Postgres nowhere)",
    )
    parser.add_argument(
        "--media-limit",
        action="append",
        default=[],
        metavar="NAME=BYTES",
        help="how large and how many pictures and files may be, such as file_bytes=10M; may be given several times "
        "(docs/settings.md lists them)",
    )
    parser.add_argument(
        "--bus",
        metavar="URL",
        help="address of a Redis, such as redis://localhost:6379, by which several servers on one Postgres database tell each "
        "other that there is something to look at (default: Postgres does it)",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="how much one sender, one address and all together may use, such as connections_per_address=500; may be given "
        "several times (docs/settings.md lists them)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    settings = server_module("app").ServerSettings(
        open_live_agent=arguments.open_live_agent,
        timers=server_module("service.scheduler").read_timers(arguments.timer),
        tkinter_demo=server_module("gateways.tkinter_gateway").read_ports(arguments.tkinter_demo),
        public=server_module("public_url").read_public_url(arguments.public_url),
        hsts=arguments.hsts,
        limits=read_limits(arguments.limit),
        hosts=tuple(read_hosts(arguments.allowed_host)),
        admin_token=_admin_token(),
        retention=read_retention(arguments.retention),
        place_notices=server_module("service.scheduler").read_place_notices(arguments.place_notices),
        history_days=server_module("service.scheduler").check_history_days(arguments.history_days),
        audit_days=server_module("service.scheduler").check_audit_days(arguments.audit_days),
        bus=arguments.bus,
        media=arguments.media,
        media_limits=read_media_limits(arguments.media_limit),
    )
    proxies = server_module("public_url").read_proxies(arguments.trusted_proxy)
    code: int = server_module("run").serve(
        arguments.host, arguments.port, usable(arguments.database), settings, proxies
    )
    return code


def _admin_token() -> str | None:
    """Return the admin token. Only the environment may have it: others on this machine can read a command line."""
    token = os.environ.get(ADMIN_TOKEN_VARIABLE)
    return check_admin_token(token, ADMIN_TOKEN_VARIABLE) if token else None
