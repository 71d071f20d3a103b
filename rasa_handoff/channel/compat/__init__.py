"""Compatibility patches for Rasa 3.6: all that patches, replaces or relies on a private or version-bound part of a host.

The hosts are Rasa, Sanic and python-socketio; the guard of Socket.IO servers has a ``compat`` of its own (``guard/compat/``).
Nothing outside these two folders touches such a part, and ``rasa_line.py`` is where the installed Rasa's version is read.
``docs/design.md`` lists each patch with what it relies on and the test that fails when the host has changed.
"""
