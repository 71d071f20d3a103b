"""``pytest -p tests.support.early_imports``: what has to be imported before everything else.

skops looks for each of some hundred types in every loaded module: once pytest, Rasa and TensorFlow are loaded, that takes eight
seconds in each worker, before them two.
"""

import skops.io  # type: ignore[import-untyped]  # noqa: F401
