"""Routers, one file a kind: to which expert a question belongs."""
