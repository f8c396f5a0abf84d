"""Proving a release before anything serves it."""
