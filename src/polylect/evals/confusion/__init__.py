"""Language confusion: does a model answer in the language that it was asked for?"""

from polylect.evals.confusion.identifiers import IDENTIFIERS, Identifier, find_identifier
from polylect.evals.confusion.measure import Confusion, measure
from polylect.evals.confusion.rates import Rates, averages, pass_rates
from polylect.evals.confusion.read import Completion, read_completions
from polylect.evals.confusion.rules import Checked, check, english_words, long_lines

__all__ = [
    "IDENTIFIERS",
    "Checked",
    "Completion",
    "Confusion",
    "Identifier",
    "Rates",
    "averages",
    "check",
    "english_words",
    "find_identifier",
    "long_lines",
    "measure",
    "pass_rates",
    "read_completions",
]
