"""The guard of both servers: what it refuses never reaches a handler (docs/security.md, docs/settings.md).

A connection passes :mod:`connections`, a request :mod:`socketio_requests`, a packet :mod:`packets`; :mod:`guard` decides, and
:mod:`compat` makes a Socket.IO server ask it. Each refusal is one log line (:mod:`refusals`). A client that is only too fast is
slowed down, and loses nothing.
"""
