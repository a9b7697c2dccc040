"""The data holder: the only room that sees identifiers and the linkage key."""
