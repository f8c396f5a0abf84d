"""Fetching artifacts block by block, resumable after a power cut."""
