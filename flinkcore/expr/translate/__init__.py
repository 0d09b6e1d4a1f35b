# SPDX-License-Identifier: Apache-2.0
"""A user's Python function as expressions on columns, by reading its code, never by running it.

What is understood: fields of records, numbers, booleans, strings and None, arithmetic, comparison and logic,
conditional expressions, `if` and assignments, constants that the function closes over, calls of other such
functions, and a few builtins and methods of strings. For anything else NotTranslated says what it was.

A translation answers for a batch exactly as Python would, row by row, errors included, or raises Unequal: then Python
has to be asked. Layers, from below: exact, numbers, texts, choice (functions on columns); values, builder,
operations (what Python's operations become); source, reader (what a function does); results, program, translation.
"""

from flinkcore.expr.translate.exact import Unequal
from flinkcore.expr.translate.translation import (
    Translation,
    translate_call,
    translate_condition,
    translate_pair,
    translate_record,
    translate_timestamp,
)
from flinkcore.expr.translate.values import NotTranslated

__all__ = [
    "NotTranslated",
    "Translation",
    "Unequal",
    "translate_call",
    "translate_condition",
    "translate_pair",
    "translate_record",
    "translate_timestamp",
]
