"""How much of a quota a client uses, and at how many refusals: our pace and others, in a simulated service."""
