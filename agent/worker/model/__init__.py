"""A model's content: reading, checking and running it, in child processes only."""
