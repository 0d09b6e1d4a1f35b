# SPDX-License-Identifier: Apache-2.0
"""Expressions: one tree for the DSL, strings and SQL; resolution against a schema; evaluation on columns.

    compile(exprs, schema) -> CompiledProjection    .project(batch) -> list[Column]
    compile_predicate(expr, schema)                 of a BOOLEAN; .filter_mask(batch) -> bool[n]
    evaluate(expr, batch) -> Column
    aggregate.plan, aggregate.Aggregation           aggregates: calls, kernels, what is computed from results
"""

from flinkcore.expr.evaluate import CompiledProjection, compile, compile_predicate, evaluate, projected_schema
from flinkcore.expr.nodes import Alias, Call, Cast, Expr, FieldReference, Literal, output_name, without_alias

__all__ = [
    "Alias",
    "Call",
    "Cast",
    "CompiledProjection",
    "Expr",
    "FieldReference",
    "Literal",
    "compile",
    "compile_predicate",
    "evaluate",
    "output_name",
    "projected_schema",
    "without_alias",
]
