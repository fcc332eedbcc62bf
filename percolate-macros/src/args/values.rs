//! What a value of an annotation may be: each is read as an expression, then judged here, with one sentence that says
//! what is accepted. Which key takes which value is the matter of `args.rs`.

use proc_macro2::Span;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Result};

use super::Count;
use crate::vocabulary as words;

pub(super) fn is_word(value: &Expr, word: &str) -> bool {
    matches!(value, Expr::Path(path) if path.path.is_ident(word))
}

pub(super) fn is_single_word(value: &Expr) -> bool {
    matches!(value, Expr::Path(path) if path.path.get_ident().is_some())
}

pub(super) fn unless_none(value: Expr) -> Option<Expr> {
    (!is_word(&value, "none")).then_some(value)
}

pub(super) fn string(value: &Expr) -> Option<LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(literal),
            ..
        }) => Some(literal.clone()),
        _ => None,
    }
}

/// An expression for a text, evaluated at entry.
pub(super) fn text(key: &str, value: Expr) -> Result<Expr> {
    match &value {
        Expr::Closure(_) => Err(Error::new_spanned(
            &value,
            format!(
                "`{key}` is read when the function is entered: write an expression over its parameters, not a closure"
            ),
        )),
        Expr::Lit(ExprLit { lit, .. }) if !matches!(lit, Lit::Str(_)) => Err(Error::new_spanned(
            &value,
            format!("`{key}` is a text: a string literal or an expression that is `AsRef<str>`"),
        )),
        Expr::Lit(ExprLit {
            lit: Lit::Str(literal),
            ..
        }) if literal.value().trim().is_empty() => Err(Error::new_spanned(
            &value,
            format!("`{key}` must not be empty; leave it out, or write `{key} = none`"),
        )),
        _ => Ok(value),
    }
}

/// A number at entry, or a closure over the value.
pub(super) fn count(key: &str, value: Expr) -> Result<Count> {
    match value {
        Expr::Closure(closure) if closure.inputs.len() == 1 => Ok(Count::OfValue(closure)),
        Expr::Closure(closure) => Err(Error::new_spanned(
            &closure,
            format!(
                "the closure of `{key}` takes one argument, the value that the function returned: `{key} = |out| …`"
            ),
        )),
        Expr::Lit(ExprLit {
            lit: Lit::Str(_) | Lit::Bool(_) | Lit::Char(_) | Lit::Float(_),
            ..
        }) => Err(Error::new_spanned(
            &value,
            format!("`{key}` is a number: `{key} = keys.len()` or `{key} = |out| out.len()`"),
        )),
        _ => Ok(Count::AtEntry(value)),
    }
}

/// One of a few words; the identifier that stands for it in the expansion.
pub(super) fn choice(value: &Expr, key: &str, choices: &[(&str, &str)]) -> Result<Ident> {
    let given = match value {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    };
    let given = given.unwrap_or_default();
    if let Some((_, ident)) = choices.iter().find(|(word, _)| *word == given) {
        return Ok(Ident::new(ident, Span::call_site()));
    }
    let all: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let is_quoted = string(value).is_some_and(|literal| all.contains(&literal.value().as_str()));
    let hint = if is_quoted {
        ", without quotes".to_owned()
    } else {
        words::did_you_mean(&given, &all)
    };
    Err(Error::new_spanned(
        value,
        format!("`{key}` takes one of {}{hint}", words::list(&all)),
    ))
}

/// `debug`, `"debug"`, `Level::DEBUG`, `4`.
pub(super) fn level(value: &Expr) -> Result<Ident> {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let given = match value {
        Expr::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string()),
        Expr::Lit(ExprLit {
            lit: Lit::Str(literal),
            ..
        }) => Some(literal.value()),
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => number
            .base10_parse::<usize>()
            .ok()
            .and_then(|number| LEVELS.iter().rev().nth(number.checked_sub(1)?))
            .map(ToString::to_string),
        _ => None,
    };
    let given = given.unwrap_or_default().to_lowercase();
    if LEVELS.contains(&given.as_str()) {
        return Ok(Ident::new(&given.to_uppercase(), Span::call_site()));
    }
    Err(Error::new_spanned(
        value,
        format!(
            "`level` takes one of {}{}",
            words::list(&LEVELS),
            words::did_you_mean(&given, &LEVELS)
        ),
    ))
}

/// `"5ms"`, in nanoseconds.
pub(super) fn duration(value: &Expr) -> Result<u64> {
    let wrong = || {
        Error::new_spanned(
            value,
            "`slow` takes a duration as a string literal: a number and `us`, `ms` or `s`, such as \"5ms\"",
        )
    };
    let literal = string(value).ok_or_else(wrong)?.value();
    let digits = literal
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(wrong)?;
    let (number, unit) = literal.split_at(digits);
    let nanos: u64 = match unit.trim_start() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(nanos))
        .filter(|nanos| *nanos > 0)
        .ok_or_else(wrong)
}

/// What the value of a key looks like.
pub(super) fn example_of(key: &str) -> &'static str {
    match key {
        "collection" => "cf",
        "target" => "schema",
        "namespace" => "self.namespace()",
        "server_address" => "self.path()",
        "system" => "\"redb\"",
        "kind" => "internal",
        "level" => "debug",
        "name" => "\"load users\"",
        "rows" => "|out| out.len()",
        "affected_rows" | "batch_size" => "keys.len()",
        "query_text" => "sql",
        "query_summary" => "summary",
        "error_type" => "MyError::kind",
        "slow" => "\"5ms\"",
        "parent" => "link",
        "metrics" => "off",
        "crate" => "::percolate_otel",
        _ => "…",
    }
}
