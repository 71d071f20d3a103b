"""The preset dialogues (offering the departments, handing over, coming back), as YAML and as an importer."""
