"""The Rasa room: the only code of the package's core that imports ``rasa``. Its composition root is ``channel.py``."""
