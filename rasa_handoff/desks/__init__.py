"""Desk adapters: the Rasa side's connections to systems with agents, behind one base class."""
