"""The tests that docs/test-your-bot.md shows run as they are."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "test-your-bot.md").read_text()


@pytest.mark.parametrize("name", re.findall(r"async def (test_\w+)", PAGE))
async def test_the_tests_of_the_documents_pass(small_model: Path, tmp_path: Path, name: str) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(block, "docs/test-your-bot.md", "exec"), namespace)
    await namespace[name](small_model, tmp_path)
