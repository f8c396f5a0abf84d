"""Stands in for the package of that name in processes that tests start; see ``interpreter``."""
