"""What a device tells besides its updates: metrics through the stream (docs/telemetry.md)."""
