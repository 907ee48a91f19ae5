"""One module for each system that the ports are joined to."""
