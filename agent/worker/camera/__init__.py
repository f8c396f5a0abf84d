"""Where pictures come from, and the memory they are shared in."""
