"""Who this device is: where its credentials are, how they are watched and renewed."""
