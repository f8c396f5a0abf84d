"""Benchmarks against the reference figures, over links as bad as real ones."""
