"""The command line, run as ``python -m rasa_handoff.cli``."""

from rasa_handoff.cli import main

raise SystemExit(main())
