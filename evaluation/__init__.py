"""How good is it? Metrics, one suite a file, and reports that print the baselines beside the result."""
