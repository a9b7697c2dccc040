"""The evaluator: how good are the links, and how would one know."""
