"""The only SQL: the engine, the schema and the tables."""
