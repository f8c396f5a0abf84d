"""What child processes give up before they open what they were given."""
