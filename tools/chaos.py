"""``make chaos``: see tests/chaos/chaos_run.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.chaos.chaos_run import main

if __name__ == "__main__":
    sys.exit(main())
