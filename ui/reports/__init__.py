"""The pages "Evaluation", "Models" and "Runs": what was measured and what was decided, for people who would rather look than read."""
