"""One folder an expert, found by looking: there is no list to edit."""
