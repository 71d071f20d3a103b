"""Ports for servers that are told theirs before they start.

Not the kernel's choice (``bind`` to 0): between the choice and the server's start anybody may get the same one, a client's
end of a connection or a server of the other worker, and words go to a stranger. A client that calls a port of that range in
which nobody listens may even be connected to itself. So: below that range, and a part for each worker.
"""

import os
import random
import socket
from typing import Final

FIRST: Final = 12_000
"""Below Linux's ephemeral range, which begins at 32768."""
EACH: Final = 2_000
WORKERS: Final = 10

_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, and that nobody in this run is given again.

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
