"""``make demo``: the bookshop's bot, the live-agent server with its desk, and the customer's page, on this machine alone.

Everything it makes is in ``.demo``: the model, three databases, the logs; its owner's alone. Ctrl-C ends it; nothing keeps
running.
"""

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from page import served
from processes import LOOPBACK, DemoError, Server, environment, is_free, stopping_all, wait_until
from rasa_command import RASA
from ruamel.yaml import YAML
from training import trained_model

ROOT = Path(__file__).resolve().parents[1]
PRESETS = ROOT / "rasa_handoff" / "presets"
PORTS = {"RASA_PORT": 5005, "ACTIONS_PORT": 5055, "DESK_PORT": 5065}
CHAT_PORT = 5075
UP_WITHIN = 180.0  # seconds; Rasa takes 10 to 20, more on a busy machine

AGENT = "thandi@karoo-books.example"
DEPARTMENTS = {"orders": "Orders and delivery", "advice": "Reading advice"}


def main() -> int:
    """Run the demo, and return the exit code."""
    parser = argparse.ArgumentParser(description="The demo of rasa_handoff.")
    parser.add_argument("--bot", type=Path, default=ROOT / "example_bot", help="the Rasa project")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="where the demo keeps its files")
    options = parser.parse_args()
    # SIGINT too: a shell lets a process started with & ignore it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        run(options.bot.resolve(), options.folder.resolve())
    except DemoError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo has ended.")
    return 0


def run(bot: Path, folder: Path) -> None:
    """Prepare and start the servers, print what to open, and watch the servers until Ctrl-C."""
    ports = {name: chosen_port(name, default) for name, default in PORTS.items()}
    os.umask(0o077)  # of every process of the demo: what customers say stands in Rasa's database and in the logs too
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    close_to_others(folder)
    model = trained_model(bot, folder, PRESETS)
    configure(bot, folder, ports)
    password = agent_password(folder)
    servers: list[Server] = []
    with stopping_all(servers), contextlib.ExitStack() as stack:
        start(servers, bot, folder, model, ports)
        page_port = stack.enter_context(served(bot / "web", chat_port()))
        for server in servers:
            wait_for(server)
        print_addresses(page_port, ports, password)
        while True:
            time.sleep(0.5)
            for server in servers:
                server.check()


def close_to_others(folder: Path) -> None:
    """Take other users' rights from files that an earlier demo left readable for all."""
    for path in [folder, folder / "logs", *folder.glob("*.db*"), *(folder / "logs").iterdir()]:
        path.chmod(0o700 if path.is_dir() else 0o600)


def start(servers: list[Server], bot: Path, folder: Path, model: Path, ports: dict[str, int]) -> None:
    """Start all three servers at once; they find each other when they are up."""
    python, logs = [sys.executable, "-m"], folder / "logs"
    desk, actions, rasa = (str(ports[name]) for name in ("DESK_PORT", "ACTIONS_PORT", "RASA_PORT"))
    serve = [*python, "rasa_handoff.cli", "serve", "--port", desk, "--database", database(folder)]
    servers.append(
        Server("The live-agent server", serve, folder, logs / "desk.log", f"http://{LOOPBACK}:{desk}/health")
    )
    act = [*python, "rasa_sdk", "--actions", "actions", "--port", actions]
    servers.append(Server("The action server", act, bot, logs / "actions.log", f"http://{LOOPBACK}:{actions}/health"))
    files = ["--model", str(model), "--credentials", "credentials.yml", "--endpoints", "endpoints.yml"]
    talk = [*RASA, "run", "--interface", LOOPBACK, "--port", rasa, "--cors", "*", *files]
    servers.append(Server("The Rasa server", talk, folder, logs / "rasa.log", f"http://{LOOPBACK}:{rasa}/"))


def configure(bot: Path, folder: Path, ports: dict[str, int]) -> None:
    """Write the bot's credentials.yml and endpoints.yml into the demo's folder, with the ports of this demo."""
    credentials: Any = YAML(typ="safe").load((bot / "credentials.yml").read_text(encoding="utf-8"))
    credentials["rasa_handoff.HandoffChannel"]["desk"]["url"] = f"http://{LOOPBACK}:{ports['DESK_PORT']}"
    endpoints: Any = YAML(typ="safe").load((bot / "endpoints.yml").read_text(encoding="utf-8"))
    endpoints["action_endpoint"]["url"] = f"http://{LOOPBACK}:{ports['ACTIONS_PORT']}/webhook"
    for name, content in (("credentials.yml", credentials), ("endpoints.yml", endpoints)):
        with (folder / name).open("w", encoding="utf-8") as file:
            YAML().dump(content, file)


def agent_password(folder: Path) -> str:
    """Return the demo agent's password; the first time, add the departments and the agent. It opens this demo's desk alone."""
    kept = folder / "agent-password"
    if kept.exists() and (folder / "desk.db").exists():
        return kept.read_text(encoding="utf-8")
    for path in folder.glob("desk.db*"):
        path.unlink()
    password = secrets.token_urlsafe(9)
    for name, title in DEPARTMENTS.items():
        desk_command(folder, ["department", "add", name, "--title", title])
    desk_command(folder, ["agent", "add", AGENT, "--name", "Thandi"], password)
    kept.touch(mode=0o600)
    kept.write_text(password, encoding="utf-8")
    return password


def desk_command(folder: Path, arguments: list[str], line: str = "") -> None:
    """Run a command of ``rasa-handoff`` on the demo's database. ``line``: its standard input."""
    command = [sys.executable, "-m", "rasa_handoff.cli", *arguments, "--database", database(folder)]
    done = subprocess.run(command, input=line, text=True, capture_output=True, env=environment(), check=False)
    if done.returncode != 0:
        raise DemoError(f"Preparing the desk failed: {done.stderr.strip().splitlines()[-1]}")


def database(folder: Path) -> str:
    """Return the URL of the desk's database."""
    return f"sqlite:///{folder / 'desk.db'}"


def chosen_port(name: str, default: int) -> int:
    """Return the port that this environment variable names, else the default.

    Raises:
        DemoError: it is no port, or isn't free.
    """
    value = os.environ.get(name) or str(default)
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise DemoError(f"{name} is '{value}', and should be a port such as {default}.")
    if not is_free(int(value)):
        raise DemoError(
            f"Port {value} is busy: stop what runs there, or choose another, {name}={int(value) + 100} make demo"
        )
    return int(value)


def chat_port() -> int:
    """Return the port of the customer's page: CHAT_PORT if it is set, else the usual one, or 0 (any) if that is busy."""
    if os.environ.get("CHAT_PORT"):
        return chosen_port("CHAT_PORT", CHAT_PORT)
    return CHAT_PORT if is_free(CHAT_PORT) else 0


def wait_for(server: Server) -> None:
    """Wait until the server answers, and print how long that took."""
    print(f"{server.title} is starting ", end="", flush=True)
    try:
        took = wait_until(
            server.is_healthy, UP_WITHIN, f"{server.title} didn't answer in {UP_WITHIN:.0f} s. Its log: {server.log}"
        )
    except BaseException:
        print(flush=True)
        raise
    print(f" ready ({took:.0f} s)", flush=True)


def print_addresses(page_port: int, ports: dict[str, int], password: str) -> None:
    """Print what to open, and how to sign in."""
    query = "" if ports["RASA_PORT"] == PORTS["RASA_PORT"] else f"?rasa=http://localhost:{ports['RASA_PORT']}"
    print(
        f"\nThe customer's page:  http://localhost:{page_port}/{query}"
        f"\nThe desk:             http://localhost:{ports['DESK_PORT']}/"
        f"\n  sign in as          {AGENT}"
        f"\n  with the password   {password}"
        "\n\nSign in at the desk first. Then ask the bot for a person, and answer at the desk. Ctrl-C ends the demo.",
        flush=True,
    )


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
