"""The local preview: a page with the live picture, its figures as JSON and for Prometheus."""
