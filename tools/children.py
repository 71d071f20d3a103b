"""Child processes that end with this one, however it ends: after ``kill -9`` too.

A small watcher process holds the reading end of a pipe whose writing end is ours. When we end, the pipe closes, and the watcher
ends the children whose ids it was given, and the processes that they started. ``PR_SET_PDEATHSIG`` isn't enough: the kernel
sends it when the *thread* ends that forked, forgets it when a child changes its user, and it doesn't reach grandchildren.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

GRACE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL."""

_lock = threading.Lock()
_watcher: "subprocess.Popen[bytes] | None" = None


def end_with_us(pid: int) -> None:
    """Have this child end with us."""
    _tell(f"+{pid}")


def forget(pid: int) -> None:
    """Forget a child that has ended and was waited for, since its number may belong to another process soon."""
    _tell(f"-{pid}")


def _tell(line: str) -> None:
    global _watcher
    with _lock:
        if _watcher is None:
            # -I -S: nothing but the standard library, in 15 ms. A session of its own: Ctrl-C isn't meant for it.
            _watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            atexit.register(_end_watcher)
            os.register_at_fork(after_in_child=_close_in_fork)
        assert _watcher.stdin is not None
        _watcher.stdin.write(f"{line}\n".encode())
        _watcher.stdin.flush()


def _end_watcher() -> None:
    """Have the watcher end the children that are left, and then itself: the ordinary end of this process."""
    global _watcher
    if _watcher is not None:
        assert _watcher.stdin is not None
        _watcher.stdin.close()
        _watcher.wait()
        _watcher = None


def _close_in_fork() -> None:
    """Close the pipe in a fork of this process, which would keep it open."""
    global _watcher
    if _watcher is not None and _watcher.stdin is not None:
        _watcher.stdin.close()
        _watcher.returncode = 0  # not this process's child
    _watcher = None


def watch() -> None:
    """Run as the watcher: read the children's ids until the pipe closes, then end those that are left and their descendants."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    start_times: dict[int, str] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            start_times[pid] = _start_time(pid)
        else:
            start_times.pop(pid, None)
    left = {pid: when for pid, when in start_times.items() if _start_time(pid) == when}
    family = {pid: _start_time(pid) for pid in _with_descendants(set(left))}
    _signal(family, signal.SIGTERM)
    _signal(family, signal.SIGCONT)
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and any(_start_time(pid) == when for pid, when in family.items()):
        time.sleep(0.05)
    _signal(family, signal.SIGKILL)
    for pid in left:  # its group too, which processes may have joined since
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def _signal(family: dict[int, str], number: signal.Signals) -> None:
    for pid, when in family.items():
        if _start_time(pid) == when:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def _start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks, which tells it from a later one with its id; "" if it's gone."""
    state = _stat(pid)
    return state[19] if state and state[0] != "Z" else ""


def _with_descendants(pids: set[int]) -> set[int]:
    """Return these processes with those that they started, and so on."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if state := _stat(int(folder.name)):
            parents[int(folder.name)] = int(state[1])
    family = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name (which may hold anything): state, parent, group ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    watch()
