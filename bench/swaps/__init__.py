"""Swapping models under a running camera, by our method and by the original's."""
