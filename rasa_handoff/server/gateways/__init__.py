"""The gateways, one file for each protocol: relays, desks, Botlhale's clients, the Tkinter demo's window."""
