"""Many simulated devices on one local cloud."""
