"""For people: the `switchyard` command and the Streamlit chat."""
