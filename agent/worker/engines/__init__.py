"""Engines, the routing of frames to them, and how one takes over from another."""
