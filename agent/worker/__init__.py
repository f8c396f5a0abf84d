"""The inference worker: a process of its own that owns the camera and serves the active release."""
