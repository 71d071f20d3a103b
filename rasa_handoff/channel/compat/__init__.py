"""Compatibility patches: all changes to Rasa, Sanic and python-socketio, and all use of their private or version-bound parts."""
