"""What each vendor's requests say: the messages in them with all that a customer sent, which Rasa's channels mostly drop."""
