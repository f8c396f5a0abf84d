"""The device's commands: what they read, ask and show."""
