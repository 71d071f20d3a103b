"""The command as a whole: light, and with sentences instead of tracebacks."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from rasa_handoff.cli import agent
from rasa_handoff.server import accounts, administration
from rasa_handoff.server.service import availability
from rasa_handoff.store.sqlite import Ownership
from rasa_handoff.testing.ports import free_port
from tests.rasa.cli.conftest import Done, command, process


def test_help_loads_no_heavy_package() -> None:
    script = (
        "import sys\nfrom rasa_handoff.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'rasa', 'rasa_sdk', 'ruamel.yaml', 'sqlalchemy', 'socketio', 'starlette', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout


def test_each_command_runs_in_a_process_of_its_own(project: Path, tmp_path: Path) -> None:
    """The other tests call the command in their own process; ``serve`` has tests of its own in tests/server."""
    database = ("--database", f"sqlite:///{tmp_path / 'desk.db'}")
    calls: dict[tuple[str, ...], str] = {
        ("init", str(project), "--yes", "--desk-url", "http://127.0.0.1:1"): "rasa_handoff.HandoffChannel",
        ("doctor", str(project)): "ok   ",
        ("department", "add", "billing", *database): "billing",
        ("agent", "add", "t@example.com", "--name", "Thandi", *database): "Thandi can now sign in",
        ("token", "add", "shop", *database): "",
        ("dead-letters", "list", *database): "There are no dead letters.",
        ("customer-token", "--new-secret"): "",
        ("move-database", database[1], f"sqlite:///{tmp_path / 'moved.db'}"): "The server's database was moved",
    }
    for arguments, words in calls.items():
        done = process(*arguments, stdin="a long enough password\n")
        assert done.returncode == (1 if arguments[0] == "doctor" else 0), done
        assert words in done.stdout
        assert done.stdout.strip()
        assert "Traceback" not in done.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "desk.db")) as kept:
        (password,) = kept.execute("select password from agents").fetchone()
    assert password.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["department", "add", "billing"],
        ["token", "add", "bot"],
        ["dead-letters", "list"],
        ["move-database", "x", "y"],
    ],
)
def test_without_the_server_extra_it_names_the_extra(arguments: list[str]) -> None:
    script = (
        "import sys\nfor name in ('sqlalchemy', 'starlette', 'uvicorn', 'argon2', 'socketio'): sys.modules[name] = None\n"
        f"from rasa_handoff.cli import main\nsys.exit(main({arguments!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'rasa-handoff[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_init_and_doctor_work_without_rasa(project: Path) -> None:
    script = (
        "import sys\nfor name in ('rasa', 'rasa_sdk', 'sqlalchemy', 'socketio'): sys.modules[name] = None\n"
        "from importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'rasa' else find(name, *rest)\n"
        f"from rasa_handoff.cli import main\nmain(['doctor', {str(project)!r}])\n"
        f"sys.exit(main(['init', {str(project)!r}, '--yes']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Nothing was changed, since not all of it can be done:" in done.stdout
    assert "pip install 'rasa-handoff[rasa]'" in done.stdout
    config = "pipeline:\n- name: WhitespaceTokenizer\npolicies:\n- name: RulePolicy\n"
    (project / "config.yml").write_text(config)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "rasa_handoff.HandoffChannel" in (project / "credentials.yml").read_text()


def test_agents_departments_and_tokens_are_added(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'desk.db'}"
    assert command("department", "add", "billing", "--title", "Billing", RASA_HANDOFF_DATABASE=database).returncode == 0
    agent = [
        "agent",
        "add",
        "thandi@example.com",
        "--name",
        "Thandi",
        "--department",
        "billing",
        "--database",
        database,
    ]
    assert command(*agent, stdin="a long enough password\n").returncode == 0
    again = command(*agent, stdin="a long enough password\n")
    assert again.returncode == 1
    assert "already" in again.stderr
    token = command("token", "add", "shop", "--database", database)
    assert token.returncode == 0
    assert len(token.stdout.strip()) > 20


def run_on(database: str, *arguments: str, stdin: str = "", code: int = 0) -> str:
    done = command(*arguments, "--database", database, stdin=stdin)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_agents_departments_and_tokens_are_listed_changed_and_removed(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'desk.db'}"

    run = partial(run_on, database)
    run("department", "add", "billing")
    run("agent", "add", "t@example.com", "--name", "Thandi", "--department", "billing", stdin="a long enough one\n")
    run("agent", "add", "p@example.com", "--name", "Pieter", stdin="a long enough one\n")
    assert run("agent", "list").splitlines() == [
        "p@example.com\tPieter\tall departments\tagent",
        "t@example.com\tThandi\tbilling\tadmin",
    ]
    assert run("department", "list") == "billing\tbilling\tt@example.com\n"
    assert "new password" in run("agent", "password", "t@example.com", stdin="another long one\n")
    assert "too short" in run("agent", "password", "t@example.com", stdin="short\n", code=1)
    assert "is the last admin. Make somebody else one first" in run("agent", "remove", "t@example.com", code=1)
    assert "is now admin" in run("agent", "role", "p@example.com", "admin")
    run("agent", "remove", "t@example.com")
    assert "agent list" in run("agent", "remove", "t@example.com", code=1)
    run("department", "remove", "billing")
    assert run("agent", "list").splitlines() == ["p@example.com\tPieter\tall departments\tadmin"]
    assert "department list" in run("department", "remove", "billing", code=1)
    run("token", "add", "shop")
    run("token", "add", "shop")
    assert "last tokens" in run("token", "revoke", "shop", "--all", code=1)
    assert run("token", "revoke", "shop").startswith("shop: 1 revoked")
    assert run("token", "list").startswith("shop\t1\t20")
    run("token", "add", "other")
    assert run("token", "revoke", "shop", "--all").startswith("shop: 1 revoked")
    assert "has no token" in run("token", "revoke", "shop", code=1)


def test_the_first_account_is_admin_and_says_so_unless_a_role_is_given(tmp_path: Path) -> None:
    def added(email: str, *more: str) -> str:
        given = ("--name", "Thandi", "--database", f"sqlite:///{tmp_path / 'desk.db'}", *more)
        done = command("agent", "add", email, *given, stdin="a long enough one\n")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "as agent." in added("a@example.com", "--role", "agent")
    first = added("b@example.com")
    assert "as admin." in first
    assert "The desk had no admin, so this account is one; --role says otherwise." in first
    assert "as agent." in added("c@example.com")
    assert "as supervisor." in added("d@example.com", "--role", "supervisor")
    assert set(agent.ROLES) == {role.value for role in accounts.Role}


def test_a_departments_hours_are_set_shown_and_taken_away(tmp_path: Path) -> None:
    run = partial(run_on, f"sqlite:///{tmp_path / 'desk.db'}")
    hours, again, wrong = (str(tmp_path / name) for name in ("hours.yml", "again.yml", "wrong.yml"))
    Path(hours).write_text(
        "time_zone: Africa/Johannesburg\nweek: {monday: ['08:00-17:00']}\ndates: {2026-12-21: {title: A day off}}\n"
    )
    run("department", "add", "billing")
    said = run("department", "hours", "billing", "--file", hours)
    assert "The department billing is " in said
    assert "(Africa/Johannesburg)" in said
    shown = run("department", "hours", "billing", "--show")
    Path(again).write_text(shown)
    assert "# billing is " in shown
    assert "A day off" in shown
    run("department", "hours", "billing", "--file", again)
    assert run("department", "hours", "billing", "--show") == shown
    Path(wrong).write_text("time_zone: Mars/Olympus\n")
    assert "Mars/Olympus" in run("department", "hours", "billing", "--file", wrong, code=1)
    assert "can't be read" in run("department", "hours", "billing", "--file", str(tmp_path / "none.yml"), code=1)
    assert "no department 'orders'" in run("department", "hours", "orders", "--file", hours, code=1)
    assert run("department", "hours", "billing", "--always") == "The department billing is always open.\n"
    assert run("department", "hours", "billing", "--show") == "# billing is always open.\n"


def test_whose_department_is_removed_serves_none_and_not_all(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'desk.db'}"
    for name in ("billing", "orders"):
        accounts.add_department(database, name)
    accounts.add_agent(database, "t@example.com", "Thandi", "a long enough one", ["billing"], accounts.Role.AGENT)
    accounts.add_agent(database, "s@example.com", "Sipho", "a long enough one", ["billing", "orders"])
    accounts.add_agent(database, "p@example.com", "Pieter", "a long enough one")

    def run(*arguments: str) -> str:
        done = command(*arguments, "--database", database)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serving(department: str | None) -> set[str]:
        ids = accounts.read_in(database, lambda connection: availability.serving(connection, department))
        return {agent.name for agent in administration.agents(database) if agent.id in ids}

    said = run("department", "remove", "billing")
    assert "t@example.com served only it, and now serves no department" in said
    assert "rasa-handoff agent departments t@example.com --department NAME (or --all)" in said
    assert "s@example.com" not in said
    assert "t@example.com\tThandi\tno department" in run("agent", "list")
    assert serving("orders") == {"Sipho", "Pieter"}
    assert serving(None) == {"Thandi", "Sipho", "Pieter"}
    run("agent", "departments", "t@example.com", "--department", "orders")
    assert serving("orders") == {"Thandi", "Sipho", "Pieter"}
    run("department", "remove", "orders")
    assert "t@example.com\tThandi\tno department" in run("agent", "list")
    run("agent", "departments", "t@example.com", "--all")
    assert "t@example.com\tThandi\tall departments" in run("agent", "list")
    run("agent", "remove", "t@example.com")


def test_an_option_behind_the_database_is_no_part_of_its_name(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'desk.db'}?synchronous=FULL"
    assert command("department", "add", "billing", "--database", database).returncode == 0
    assert command("department", "list", "--database", database).stdout.startswith("billing")


def test_a_misspelled_database_is_not_made(tmp_path: Path) -> None:
    done = command("agent", "list", "--database", f"sqlite:///{tmp_path / 'dsek.db'}")
    assert done.returncode == 1
    assert "There is no database" in done.stderr
    assert not list(tmp_path.iterdir())


def one_sentence(done: "Done | subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_database_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'desk.db'}"
    command("department", "add", "billing", "--database", database)
    ownership = Ownership(database)
    ownership.take()
    try:
        said = one_sentence(process("serve", "--port", str(free_port()), "--database", database))
    finally:
        ownership.leave()
    assert "is in use by another process" in said


ADDING = (
    ("department", "add", "billing"),
    ("token", "add", "shop"),
    ("agent", "add", "t@example.com", "--name", "Thandi"),
)


@pytest.mark.parametrize("arguments", [("serve",), *ADDING], ids=lambda each: each[0])
def test_a_folder_that_is_not_there_is_said_in_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    said = one_sentence(command(*arguments, "--database", f"sqlite:///{tmp_path}/no/desk.db", stdin="a long one\n"))
    assert f"there is no folder {tmp_path}/no: make the folder" in said
    assert "is a folder" in one_sentence(command(*arguments, "--database", f"sqlite:///{tmp_path}"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", ADDING, ids=lambda each: each[0])
def test_a_new_database_is_said_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = tmp_path / "desk.db"
    first = command(*arguments, "--database", f"sqlite:///{path}", stdin="a long enough one\n")
    assert first.returncode == 0
    assert f"A new database was made: {path}." in first.stderr
    assert f"--database sqlite:///{path}" in first.stderr
    again = command("department", "add", "advice", "--database", f"sqlite:///{path}")
    assert "database" not in again.stderr
    assert "is gone when this command ends" in one_sentence(command(*arguments, "--database", "sqlite://"))


def test_mistakes_on_the_command_line_are_said_in_one_sentence(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'desk.db'}"
    command("token", "add", "shop", "--database", database)
    host = process("serve", "--host", "a" * 70, "--database", database)
    assert "can't be listened on" in one_sentence(host)
    days = command("serve", "--history-days", "0", "--database", database)
    assert "--history-days 400" in one_sentence(days)
    title = command("department", "add", "billing", "--title", "x" * 200, "--database", database)
    assert "too long" in one_sentence(title)
    name = process("agent", "add", "t@example.com", "--name", os.fsdecode(b"Th\xff"), "--database", database)
    assert "UTF-8" in one_sentence(name)
    with sqlite3.connect(tmp_path / "desk.db", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert "locked" in one_sentence(command("department", "add", "advice", "--database", database))
    holder.close()


def test_a_reader_that_goes_is_no_error(project: Path) -> None:
    line = f"{sys.executable} -m rasa_handoff.cli doctor {project} | true"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_the_audit_log_is_listed(tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path / 'desk.db'}")
    command("department", "add", "billing", "--title", "Bills", *database)
    command("token", "add", "shop", *database)
    (line,) = command("audit", "list", "--subject", "billing", *database).stdout.splitlines()
    assert line.split("\t")[1:] == ["command line", "department add", "billing", '{"title": "Bills"}']
    rows = [json.loads(row) for row in command("audit", "list", "--json", *database).stdout.splitlines()]
    assert [(row["who"], row["operation"], row["subject"]) for row in rows] == [
        ("command line", "department add", "billing"),
        ("command line", "token add", "shop"),
    ]
    none = command("audit", "list", "--since", "2999-01-01", *database)
    assert (none.returncode, none.stdout) == (0, "")
    assert "2026-11-28T13:00" in one_sentence(command("audit", "list", "--since", "yesterday", *database))
    assert "--audit-days 730" in one_sentence(command("serve", "--audit-days", "0", *database))
