"""Recipes that make what ships in artifacts/."""
