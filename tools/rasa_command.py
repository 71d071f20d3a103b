"""Rasa's own command, started some seconds sooner.

Rasa loads a LogisticRegressionClassifier by skops, which looks through every loaded module for each of some hundred types. If
TensorFlow was imported before skops, that takes nine seconds of a processor in each process; if skops is imported first, two.
"""

import sys
from typing import Final

RASA: Final = [sys.executable, "-c", "import skops.io; from rasa.__main__ import main; main()"]
"""The beginning of a command line, in place of ``rasa``; its arguments follow."""
