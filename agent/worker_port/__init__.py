"""The agent's side of the worker, whichever kind it is."""
