"""Learn from feedback, with a gate: which corrections count, what they teach, and whether it is better than what is in service."""
