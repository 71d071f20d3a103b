"""A handoff in an environment where Rasa and this package were installed, on a project of ``rasa init``."""

import asyncio
import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.scripted_desk import PASSWORD, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.support.started_processes import Process

PROJECT = "from rasa.cli.scaffold import create_initial_project; create_initial_project('.')"
CONFIG = """recipe: default.v1
assistant_id: installed
language: en
pipeline:
- name: WhitespaceTokenizer
- name: CountVectorsFeaturizer
- name: LogisticRegressionClassifier
policies:
- name: RulePolicy
"""
ENDPOINTS = "tracker_store:\n  type: SQL\n  dialect: sqlite\n  db: tracker.db\n"
QUIET = {"RASA_TELEMETRY_ENABLED": "false", "SANIC_WORKERS": "1", "PYTHONPATH": ""}


async def hand_over(binaries: Path, folder: Path) -> list[str]:
    """Make the project, train, start both servers and ask for a person; return lines that say what was seen.

    Raises:
        AssertionError: what didn't work.
    """
    project = folder / "project"
    project.mkdir()
    ports = {"desk": free_port(), "rasa": free_port()}
    desk, rasa = f"http://localhost:{ports['desk']}", f"http://127.0.0.1:{ports['rasa']}"
    handoff = str(binaries / "rasa-handoff")
    await _run(project, str(binaries / "python"), "-W", "ignore", "-c", PROJECT)
    (project / "config.yml").write_text(CONFIG)
    (project / "endpoints.yml").write_text(ENDPOINTS)
    (project / "credentials.yml").write_text("rest:\n")
    await _run(project, handoff, "init", "--yes", "--desk-url", desk)
    await _run(project, handoff, "agent", "add", "thandi@example.com", "--name", "Thandi", line=PASSWORD)
    await _run(project, str(binaries / "rasa"), "train", "--data", "data/nlu.yml", "data/rules.yml")
    serve = [handoff, "serve", "--port", str(ports["desk"])]
    talk = [str(binaries / "rasa"), "run", "--port", str(ports["rasa"]), "-i", "127.0.0.1"]
    async with (
        Process(serve, project, up=f"{desk}/health", **QUIET),
        Process(talk, project, up=rasa, **QUIET),
        ScriptedAgent(desk, "thandi@example.com") as agent,
        aiohttp.ClientSession() as http,
    ):

        async def state() -> Mapping[str, object]:
            async with http.get(f"{rasa}/webhooks/handoff/") as answer:
                return dict(await answer.json())

        async def connected() -> bool:
            return (await state())["desk"] == "connected"

        await eventually(connected, seconds=30, what="the relay is connected to the desk")
        doctor = await _run(project, handoff, "doctor")
        assert "All packages that Rasa requires are installed" in doctor, doctor
        body = json.dumps({"sender": "thabo", "message": "/execute_handoff"})
        async with http.post(f"{rasa}/webhooks/rest/webhook", data=body) as answer:
            said = [message.get("text") for message in await answer.json()]
        conversation = await agent.take_next()
        assert conversation["short_id"] == short_id("thabo"), conversation
    with sqlite3.connect(project / "tracker.db") as tracker:
        events = tracker.execute("SELECT count(*) FROM events WHERE sender_id = 'thabo'").fetchone()[0]
    tracker.close()
    assert events, "The tracker store has nothing of the conversation."
    return [f"doctor finds nothing, the customer heard {said}, and the agent has taken it"]


async def _run(folder: Path, *command: str, line: str = "") -> str:
    """Run a command, and return what it prints.

    Raises:
        AssertionError: it failed; with what it printed.
    """
    environment = {**os.environ, **QUIET}

    def finished() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, cwd=folder, env=environment, input=line, capture_output=True, text=True, timeout=240, check=False
        )

    done = await asyncio.to_thread(finished)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
