"""``make bench``: what the live path costs, each figure beside its reference (docs/benchmarks.md)."""
