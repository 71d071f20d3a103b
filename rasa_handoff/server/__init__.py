"""The live-agent server: namespaces, queue, accounts and the desk. Runs outside Rasa's environment too."""
