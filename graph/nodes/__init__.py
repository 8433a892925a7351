"""The nodes of the graph, one file a stage. Each is a function of the services and the state, and returns only what it changed."""
