"""The parts of ``bench/download.py``."""
