//! The precedence of `->`, `->>`, `@>` and `<@`. As in PostgreSQL, they bind more tightly than
//! comparisons and more loosely than arithmetic. The parser lets comparisons bind more tightly, and
//! reads `a ->> 'b' = 'c'` as `a ->> ('b' = 'c')`. This puts the expressions right.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as AnyStatement;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, visit_expressions_mut};

/// Puts the expressions of a statement right.
pub(super) fn bind_operators(statement: &mut AnyStatement) {
    match statement {
        AnyStatement::Statement(statement) => {
            // Outer expressions come after inner ones, so operands are right already. The closure
            // never breaks.
            _ = visit_expressions_mut(&mut **statement, |expression| {
                bind(expression);
                ControlFlow::<()>::Continue(())
            });
        }
        AnyStatement::Explain(explained) => bind_operators(&mut explained.statement),
        _ => {}
    }
}

/// Returns the operands if the expression is one of the operators.
fn operands(expression: &mut Expr) -> Option<(&mut Expr, &mut Expr)> {
    match expression {
        Expr::BinaryOp { left, op, right } if is_operator(op) => Some((left, right)),
        _ => None,
    }
}

fn is_operator(operator: &BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::AtArrow
            | BinaryOperator::ArrowAt
    )
}

/// Rewrites `x = left -> (key = y)`, as it was parsed, to `x = ((left -> key) = y)`.
fn bind(expression: &mut Expr) {
    let Some((left, right)) = operands(expression) else {
        return;
    };
    let (mut before, mut after) = (taken(left), taken(right));
    let (last, first) = (
        innermost(&mut before, last_operand),
        innermost(&mut after, first_operand),
    );
    // The operator itself, with the operands next to it.
    *left = taken(last);
    *right = taken(first);
    // What was on its right encloses it, and what was on its left encloses both.
    *first = taken(expression);
    *last = after;
    *expression = before;
}

/// Takes an expression out of its place, which is to be filled.
fn taken(place: &mut Expr) -> Expr {
    std::mem::replace(place, Expr::Wildcard(AttachedToken::empty()))
}

/// Follows `next` to the last expression.
fn innermost(expression: &mut Expr, next: fn(&mut Expr) -> Option<&mut Expr>) -> &mut Expr {
    if next(expression).is_none() {
        return expression;
    }
    match next(expression) {
        Some(inner) => innermost(inner, next),
        None => unreachable!("the same expression has the same operands"),
    }
}

/// Returns the first operand of an operator that binds less tightly. An expression in brackets is
/// not one.
fn first_operand(expression: &mut Expr) -> Option<&mut Expr> {
    match expression {
        Expr::BinaryOp { left, op, .. } => {
            (is_comparison(op) || *op == BinaryOperator::StringConcat).then_some(left)
        }
        Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::IsDistinctFrom(inner, _)
        | Expr::IsNotDistinctFrom(inner, _) => Some(inner),
        Expr::Like { expr, .. }
        | Expr::ILike { expr, .. }
        | Expr::SimilarTo { expr, .. }
        | Expr::Between { expr, .. }
        | Expr::InList { expr, .. }
        | Expr::InSubquery { expr, .. } => Some(expr),
        _ => None,
    }
}

/// Returns the last operand of an operator that binds less tightly.
fn last_operand(expression: &mut Expr) -> Option<&mut Expr> {
    match expression {
        Expr::BinaryOp { right, op, .. } => is_comparison(op).then_some(right),
        Expr::Like { pattern, .. } | Expr::ILike { pattern, .. } => Some(pattern),
        Expr::Between { high, .. } => Some(high),
        _ => None,
    }
}

fn is_comparison(operator: &BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
    )
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    /// Returns the statement with brackets around both operands of every operator.
    fn bracketed(condition: &str) -> String {
        let sql = format!("SELECT 1 FROM t WHERE {condition}");
        let mut statement = DFParser::parse_sql(&sql).unwrap().pop_front().unwrap();
        bind_operators(&mut statement);
        let AnyStatement::Statement(mut statement) = statement else {
            panic!("{sql} is not a statement of SQL");
        };
        _ = visit_expressions_mut(&mut *statement, |expression| {
            if let Expr::Nested(inner) = expression {
                *expression = taken(inner);
            }
            if matches!(expression, Expr::BinaryOp { .. }) {
                let operation = taken(expression);
                *expression = Expr::Nested(Box::new(operation));
            }
            ControlFlow::<()>::Continue(())
        });
        statement.to_string()
    }

    #[test]
    fn operators_of_json_bind_more_tightly_than_comparisons() {
        for (condition, expected) in [
            ("a ->> 'b' = 'c'", "(a ->> 'b') = 'c'"),
            ("'c' = a ->> 'b'", "'c' = (a ->> 'b')"),
            ("a -> 'b' ->> 'c' <> d", "((a -> 'b') ->> 'c') <> d"),
            ("x = a -> 'b' ->> 'c'", "x = ((a -> 'b') ->> 'c')"),
            ("a ->> 'b' IS NULL", "(a ->> 'b') IS NULL"),
            ("a ->> 'b' IN ('x', 'y')", "(a ->> 'b') IN ('x', 'y')"),
            ("a ->> 'b' LIKE 'x%'", "(a ->> 'b') LIKE 'x%'"),
            ("x LIKE a ->> 'b'", "x LIKE (a ->> 'b')"),
            (
                "a ->> 'b' BETWEEN 'x' AND 'y'",
                "(a ->> 'b') BETWEEN 'x' AND 'y'",
            ),
            (
                "x < a -> 'b' AND y = a ->> 'c' OR z",
                "((x < (a -> 'b')) AND (y = (a ->> 'c'))) OR z",
            ),
            ("a ->> 'b' = c ->> 'd'", "(a ->> 'b') = (c ->> 'd')"),
            ("a ->> 'b' || 'x' = 'y'", "((a ->> 'b') || 'x') = 'y'"),
            ("a -> 1 + 2", "a -> (1 + 2)"),
            ("tags @> x = true", "(tags @> x) = true"),
            ("(a ->> 'b') = 'c'", "(a ->> 'b') = 'c'"),
            ("a ->> ('b' = 'c')", "a ->> ('b' = 'c')"),
        ] {
            let bracketed = bracketed(condition);
            let (_, bracketed) = bracketed.split_once("WHERE ").unwrap();
            assert!(
                bracketed == expected || bracketed == format!("({expected})"),
                "{condition}: {bracketed}"
            );
        }
    }
}
