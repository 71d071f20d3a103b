"""LivePerson: bots by a LivePerson Function and by Custom Endpoint v1."""
