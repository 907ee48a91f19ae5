"""The sweep and its sister jobs: what they decide, what they need, and the adapters that give it to them."""
