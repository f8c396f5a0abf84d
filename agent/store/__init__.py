"""Releases on disk: content-addressed blobs, release folders, the one atomic switch."""
