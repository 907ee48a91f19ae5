"""The function app: what its triggers call. `function_app.py` in the root knows the host's types, this knows none of them."""
