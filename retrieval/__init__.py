"""Documents to passages, passages to vectors, questions to hits. Knows nothing of experts: the caller hands it documents."""
