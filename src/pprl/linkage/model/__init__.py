"""What a pair's comparison vector says: weights, log-odds of a match, scores."""
