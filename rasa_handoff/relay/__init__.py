"""The middle of the Rasa side: the one writer of conversations. Events in by one door, entries out by the outbox."""
