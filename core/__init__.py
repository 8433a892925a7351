"""The leaf: value types, errors and settings. Imports nothing of the project."""
