"""Rasa's own channels with corrections, and authentication of their customers."""
