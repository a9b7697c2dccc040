"""Dutch-like people and registers, made up, for tutorials, tests and benchmarks.

A population is households with kin; registers are drawn from it with coverage, forms and
errors of their own, and the truth beside them. Nobody in it exists.
"""

from pprl.synthetic.population import population, population_table
from pprl.synthetic.practice import practice
from pprl.synthetic.registers import Errors, Register, register, register_table

__all__ = [
    "Errors",
    "Register",
    "population",
    "population_table",
    "practice",
    "register",
    "register_table",
]
