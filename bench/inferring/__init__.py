"""What the worker costs beside a bare loop: throughput, latency, memory."""
