"""The words everyone uses: values, events, errors, names, settings. No I/O, nothing but the standard library and msgspec."""
