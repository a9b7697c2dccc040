"""From linked pairs to clusters, and what is told of doubtful ones."""
