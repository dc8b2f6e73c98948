"""Stand-ins for what cannot be run in a test: other clouds, and networks that fail."""
