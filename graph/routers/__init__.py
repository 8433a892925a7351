"""Routers, one file a kind: which expert does a question belong to?"""
