"""Compatibility: all patches of Rasa, Sanic and python-socketio, and all use of their private or version-bound parts."""
