"""Compatibility patches of the guard: all that it replaces, or relies on, in python-socketio, python-engineio, ASGI and Sanic."""
