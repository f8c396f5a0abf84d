"""What the agent remembers over a power cut, in SQLite."""
