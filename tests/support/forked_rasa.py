"""Rasa's command without its imports, which take seven seconds of a processor: forked from a process that has done them.

``[*forked_rasa(), "run", ...]`` is used in place of ``rasa``. It starts a small client, which passes its arguments, folder,
environment and output to a server. The server forks, and the child runs Rasa's own ``main``. There is one server for a run of the
tests, started when it is first needed. Signals to the client are passed on. A client that is killed (kill -9)
takes its child with it, a moment later: a test that needs that moment, or Rasa's own imports, uses ``tools/rasa_command.py``.
"""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

STARTS_WITHIN: Final = 120.0
"""Seconds until a server has imported Rasa, on a busy machine."""
CONTROLLER_WATCHED_EVERY: Final = 1.0
"""Seconds between two looks at whether the run of the tests goes on."""
PID_FILE: Final = "FORKED_RASA_PID_FILE"
"""The environment variable that names a file, to which the client writes the child's process id."""
PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MODULES: Final = (
    "skops.io",
    "rasa.__main__",
    "rasa.core.run",
    "rasa.core.train",
    "rasa.core.test",
    "rasa.model_training",
)
"""The first one first: ``tools/rasa_command.py`` says why."""
SERVE: Final = "from tests.support.forked_rasa import serve; serve()"

_started: Final[list["subprocess.Popen[bytes]"]] = []
"""The server, if this process has started it. It is waited for by nobody: it ends by itself after the run."""


def forked_rasa() -> list[str]:
    """Return the beginning of a command line, in place of ``rasa``; its arguments follow."""
    controller = os.getppid() if "PYTEST_XDIST_TESTRUNUID" in os.environ else os.getpid()
    address = Path(tempfile.gettempdir()) / f"forked-rasa-{os.getuid()}-{controller}.socket"
    with address.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not address.exists():
            _start_server(address, controller)
    return [sys.executable, "-I", "-S", __file__, str(address)]


def _start_server(address: Path, controller: int) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen(64)
        # One thread, since a fork takes only the one that forks.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(listening.fileno()), str(controller)],
            cwd=Path(__file__).parents[2],
            env=environment,
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _started.append(server)


def ask(address: str, arguments: list[str]) -> int:
    """Have the server run Rasa with these arguments, and return its exit code. This is the client."""
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(STARTS_WITHIN)
        server.connect(address)
        wanted = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(server, [b"+"], [0, 1, 2])
        server.sendall(json.dumps(wanted).encode() + b"\n")
        answers = server.makefile("r")
        child = int(answers.readline())
        if PID_FILE in os.environ:
            Path(os.environ[PID_FILE]).write_text(str(child))
        for passed_on in PASSED_ON:
            signal.signal(passed_on, lambda number, _: os.kill(child, number))
        server.settimeout(None)
        code = int(answers.readline())
    if code < 0:  # it was ended by this signal
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def serve() -> None:
    """Import Rasa, then fork a child for each client, until the run of the tests has ended."""
    listening, controller = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    for module in MODULES:
        __import__(module)
    wanted = Server(listening).run(controller)
    if wanted is not None:
        _become(wanted)
        from rasa.__main__ import main

        main()


class Server:
    """Forks the children, and tells each client its child's process id, and the exit code at the end."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._clients: dict[int, socket.socket] = {}
        self._woken, wakes = os.pipe()
        for descriptor in (self._woken, wakes):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes)

    def run(self, controller: int) -> dict[str, Any] | None:
        """Return in each child what its client wants, and in the server None once the controller has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while _is_alive(controller):
                for key, _ in selector.select(CONTROLLER_WATCHED_EVERY):
                    if key.fileobj is self._listening:
                        client = self._listening.accept()[0]
                        wanted = self._fork(client)
                        if wanted is not None:
                            return wanted
                        selector.register(client, selectors.EVENT_READ)
                    elif isinstance(key.fileobj, socket.socket):  # clients say nothing more, so it has left
                        selector.unregister(key.fileobj)
                        self._kill(key.fileobj)
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                for client in self._reap():
                    with contextlib.suppress(KeyError):
                        selector.unregister(client)
                    client.close()
        Path(self._listening.getsockname()).unlink(missing_ok=True)
        for child in self._clients:
            os.kill(child, signal.SIGKILL)
        return None

    def _fork(self, client: socket.socket) -> dict[str, Any] | None:
        _, descriptors, _, _ = socket.recv_fds(client, 1, 3)
        with client.makefile("r") as said:
            wanted: dict[str, Any] = {**json.loads(said.readline()), "descriptors": descriptors}
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (self._listening, client, *self._clients.values()):
                other.close()
            return wanted
        for descriptor in descriptors:
            os.close(descriptor)
        self._clients[child] = client
        with contextlib.suppress(OSError):
            client.sendall(f"{child}\n".encode())
        return None

    def _kill(self, client: socket.socket) -> None:
        for child, other in self._clients.items():
            if other is client:
                os.kill(child, signal.SIGKILL)

    def _reap(self) -> list[socket.socket]:
        """Tell the clients of ended children the exit codes, and return these clients."""
        ended = []
        for child in list(self._clients):
            ended_child, status = os.waitpid(child, os.WNOHANG)
            if ended_child:
                ended.append(self._clients.pop(child))
                with contextlib.suppress(OSError):
                    ended[-1].sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        return ended


def _become(wanted: dict[str, Any]) -> None:
    """Make this process what a new one with these arguments would be."""
    os.setsid()
    for standard, descriptor in enumerate(wanted["descriptors"]):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path and path not in sys.path]
    sys.argv = ["rasa", *wanted["arguments"]]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
