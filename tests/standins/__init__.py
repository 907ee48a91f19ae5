"""Stand-ins for the services that have no emulator, written from their contracts."""
