"""The route lab: what the routers make of a prompt, before anything is asked or spent."""
