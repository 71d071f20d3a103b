"""Rasa's own command, started some seconds sooner.

Rasa loads a LogisticRegressionClassifier by skops, which looks through every loaded module for each of some hundred types. Behind
TensorFlow that takes nine seconds of a processor in each process, and two if it is imported first.
"""

import sys
from typing import Final

RASA: Final = [sys.executable, "-c", "import skops.io; from rasa.__main__ import main; main()"]
"""Behind it stands what would stand behind ``rasa``."""
