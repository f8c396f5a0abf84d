"""What the operator changes and asks from afar: settings, calls, desired values, and the log."""
