"""What the guard replaces, or relies on, of private parts of python-socketio, python-engineio, ASGI servers and Sanic."""
