"""The state machines of control and assignment, their timers, and the transcript. Pure functions: no I/O, no clock."""
