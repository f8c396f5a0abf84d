"""Comparing what releases did: pure statistics and decisions, no I/O."""
