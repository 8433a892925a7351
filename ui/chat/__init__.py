"""The Streamlit chat, in pieces: what is drawn, what is remembered, and how a turn runs."""
