"""What the cloud remembers: SQLite for records, files named by their content for artifacts."""
