"""A batch job: a plan of independent parts, one file each, that can be stopped and resumed."""
