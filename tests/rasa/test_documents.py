"""The test that docs/test-your-bot.md shows runs as it is."""

import re
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "test-your-bot.md").read_text()


async def test_the_test_of_the_documents_passes(small_model: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, Any] = {}
    exec(compile(block, "docs/test-your-bot.md", "exec"), space)
    await space["test_nobody_is_there"](small_model, tmp_path)
