"""Candidate pairs and their similarity: every pair, or those that share a block."""
