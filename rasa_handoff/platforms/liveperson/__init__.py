"""The platform channel for LivePerson, which calls a bot by a LivePerson Function or by Custom Endpoint v1."""
