"""What benchmarks have in common: the link inside, measured processes, a cloud."""
