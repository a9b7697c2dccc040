"""What travels between the parties: neither identifiers nor keys."""
