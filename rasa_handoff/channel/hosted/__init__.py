"""Rasa's socketio channel, corrected, and authentication of customers where no vendor does it."""
