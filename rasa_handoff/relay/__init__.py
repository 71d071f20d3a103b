"""The core of the Rasa side: the only writer of its conversations. Events come in, outbox entries go out."""
