"""Two hundred chats at once: our server beside the same graph on the LangGraph dev server and a route that only awaits the model."""

MODEL_S = 0.3
"""How long the scripted model takes, in seconds."""
SPEC = "fake:scripted"
"""Its name."""
