"""Ports for servers that need a port number before they start.

They aren't chosen by the kernel (``bind`` to 0). Between that choice and the server's start another socket may get the same
port: a client's end of a connection, or a server of another worker. And a client that calls a port of the kernel's range on
which nobody listens may be connected to itself. So the ports are below that range, with a part for each worker.
"""

import os
import random
import socket
from typing import Final

FIRST: Final = 12_000
"""Below Linux's ephemeral range, which begins at 32768."""
EACH: Final = 2_000
"""Ports of one worker."""
WORKERS: Final = 10

_given: set[int] = set()


def free_port() -> int:
    """Return a port on which nobody listens, and which isn't returned again in this run.

    Raises:
        RuntimeError: this worker's part is used up.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    part = int(worker.removeprefix("gw")) % (WORKERS - 1) if worker else WORKERS - 1
    first = FIRST + EACH * part
    start = random.SystemRandom().randrange(EACH)  # another run may go on beside this one
    for step in range(EACH):
        port = first + (start + step) % EACH
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError(f"All ports from {first} to {first + EACH - 1} are taken: end what holds them.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
