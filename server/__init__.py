"""HTTP for programs: an OpenAI-compatible API, threads, feedback, health and metrics."""
