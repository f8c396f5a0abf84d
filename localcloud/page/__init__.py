"""The fleet page: what the devices of a project do, for people."""
