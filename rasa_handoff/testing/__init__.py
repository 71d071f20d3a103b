"""Contract tests for a desk or platform channel of your own, and what they need (``docs/adapters/adding.md``).

Needs ``pip install 'rasa-handoff[rasa,testing]'``. Write one class in your tests::

    class TestMyDesk(DeskContract):
        far_side = MyFarSide
"""

import pytest

pytest.register_assert_rewrite("rasa_handoff.testing.desks", "rasa_handoff.testing.platforms")
