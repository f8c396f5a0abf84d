"""Whose signed releases this device takes."""
