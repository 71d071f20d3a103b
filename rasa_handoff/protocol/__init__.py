"""Types shared by all folders: values, events, errors, settings, limits. No I/O; needs only msgspec."""
