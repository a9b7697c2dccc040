"""Which candidate pairs are linked where no truth is known."""
