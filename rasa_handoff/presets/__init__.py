"""The preset dialogues (offering the departments, requesting a handoff, the return), as YAML and as an importer."""
