"""The pages "Evaluation" and "Models": measured numbers, for people who would rather look than read."""
