"""What the agent hears from the cloud and tells it."""
