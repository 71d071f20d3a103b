"""Thinking: state tables, transcript, routing. No I/O and no clock of its own; data in, data out."""
