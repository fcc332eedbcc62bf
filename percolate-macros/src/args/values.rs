//! The value of each key: what is valid, and one sentence for what is not. The `match` from a key
//! to its function is in `reader.rs`.

use proc_macro2::Span;
use syn::parse::{ParseBuffer, ParseStream};
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Path, Result, Token};

use super::cursor::skip_value;
use super::{Count, Parent, QueryText, Rows, System, Target};
use crate::key::Key;
use crate::nearest::{did_you_mean, list};

/// The words of `parent`, and their identifiers in the expansion.
const PARENTS: [(&str, &str); 3] = [("child", "Child"), ("link", "Link"), ("root", "Root")];

/// Reads the expression in `key = expression`.
pub(super) fn expression(key: Key, word: &Ident, input: ParseStream<'_>) -> Result<Expr> {
    equals(key, word, input)?;
    input.parse().map(ungrouped)
}

/// Returns a literal, path or closure without the invisible group around it, which a fragment of
/// `macro_rules!` such as `$value:expr` has. Another expression keeps the group.
pub(super) fn ungrouped(value: Expr) -> Expr {
    let mut inner = &value;
    while let Expr::Group(group) = inner {
        inner = &group.expr;
    }
    match inner {
        Expr::Lit(_) | Expr::Path(_) | Expr::Closure(_) => inner.clone(),
        _ => value,
    }
}

/// Reads `=`, after which a value follows.
fn equals(key: Key, word: &Ident, input: ParseStream<'_>) -> Result<()> {
    let sign: Option<Token![=]> = input.parse()?;
    if sign.is_none() || input.is_empty() || input.peek(Token![,]) {
        let message = format!("`{}` needs a value: `{}`", key.name(), key.example());
        return Err(Error::new(word.span(), message));
    }
    Ok(())
}

/// Checks that a flag has no value.
pub(super) fn nothing(key: Key, input: ParseStream<'_>) -> Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(input.error(format!("`{0}` has no value: write `{0}`", key.name())))
}

/// Reads the parentheses of `key(…)` and returns their content.
pub(super) fn parenthesized<'a>(
    key: Key,
    word: &Ident,
    input: ParseStream<'a>,
) -> Result<ParseBuffer<'a>> {
    if !input.peek(syn::token::Paren) {
        skip_value(input);
        let message = format!("`{}` needs parentheses: `{}`", key.name(), key.example());
        return Err(Error::new(word.span(), message));
    }
    let content;
    syn::parenthesized!(content in input);
    Ok(content)
}

pub(super) fn crate_path(word: &Ident, input: ParseStream<'_>) -> Result<Path> {
    equals(Key::Crate, word, input)?;
    if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        let message = format!(
            "`crate` is a path without quotes: `crate = {}`",
            literal.value()
        );
        return Err(Error::new_spanned(&literal, message));
    }
    input.call(Path::parse_mod_style).map_err(|error| {
        Error::new(
            error.span(),
            "`crate` is the path of percolate_otel or percolate_core, or of a module that \
             re-exports it, such as `crate = ::telemetry`",
        )
    })
}

fn is_word(value: &Expr, word: &str) -> bool {
    matches!(value, Expr::Path(path) if path.path.is_ident(word))
}

fn string(value: &Expr) -> Option<LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(literal),
            ..
        }) => Some(literal.clone()),
        _ => None,
    }
}

/// The collection of an operation, or the target of a job.
pub(super) fn target(key: Key, is_optional: bool, value: Expr) -> Result<Target> {
    Ok(match (is_optional, is_word(&value, "none")) {
        (false, true) => Target::None,
        (true, true) => {
            let message = format!("`{0}? = …` is an `Option`; write `{0} = none`", key.name());
            return Err(Error::new_spanned(&value, message));
        }
        (true, false) => Target::Optional(text(key, value)?),
        (false, false) => Target::Given(text(key, value)?),
    })
}

/// A text, or `none`.
pub(super) fn text_or_none(key: Key, value: Expr) -> Result<Option<Expr>> {
    let value = (!is_word(&value, "none")).then_some(value);
    value.map(|value| text(key, value)).transpose()
}

/// An expression for a text, evaluated at entry.
pub(super) fn text(key: Key, value: Expr) -> Result<Expr> {
    let key = key.name();
    let message = match &value {
        Expr::Closure(_) => format!(
            "`{key}` is evaluated when the function is entered; write an expression over its \
             parameters, not a closure"
        ),
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(literal) if literal.value().trim().is_empty() => {
                format!("`{key}` must not be empty; omit it, or write `{key} = none`")
            }
            Lit::Str(_) => return Ok(value),
            _ => format!(
                "`{key}` must be a string literal, or an expression that implements `AsRef<str>`"
            ),
        },
        _ => return Ok(value),
    };
    Err(Error::new_spanned(&value, message))
}

/// The text of a query, or `raw(…)`.
pub(super) fn query_text(key: Key, value: Expr) -> Result<QueryText> {
    let mut call = match value {
        Expr::Call(call) if is_word(&call.func, "raw") => call,
        value => return text(key, value).map(QueryText::Sanitized),
    };
    if call.args.len() == 1
        && let Some(query) = call.args.pop()
    {
        return text(key, query).map(QueryText::Raw);
    }
    let message = "`raw` needs one text: `query_text = raw(sql)`";
    Err(Error::new_spanned(&call, message))
}

/// The number of returned rows.
pub(super) fn rows(value: Expr) -> Result<Rows> {
    if let Expr::Path(path) = &value
        && let Some(word) = path.path.get_ident()
    {
        if word == "stream" {
            return Ok(Rows::Stream(word.clone()));
        }
        if word == "none" {
            return Ok(Rows::None);
        }
    }
    count(Key::Rows, value).map(Rows::Count)
}

/// A number known at entry, or a closure over the returned value.
pub(super) fn count(key: Key, value: Expr) -> Result<Count> {
    let key = key.name();
    match value {
        Expr::Closure(closure) if closure.inputs.len() == 1 => Ok(Count::OfValue(closure)),
        Expr::Closure(closure) => Err(Error::new_spanned(
            &closure,
            format!(
                "the closure of `{key}` must have one argument, the returned value: \
                 `{key} = |out| …`"
            ),
        )),
        Expr::Lit(ExprLit {
            lit: Lit::Str(_) | Lit::Bool(_) | Lit::Char(_) | Lit::Float(_),
            ..
        }) => Err(Error::new_spanned(
            &value,
            format!(
                "`{key}` must be an integer: `{key} = keys.len()` or `{key} = |out| out.len()`"
            ),
        )),
        _ => Ok(Count::AtEntry(value)),
    }
}

/// The name of the span.
pub(super) fn span_name(value: &Expr) -> Result<LitStr> {
    let literal = string(value).filter(|literal| !literal.value().trim().is_empty());
    literal.ok_or_else(|| {
        Error::new_spanned(
            value,
            "`name` must be a string literal that is not empty: a span name is fixed, values that \
             vary are attributes",
        )
    })
}

/// The name of the database system: a valid literal, or an expression evaluated at entry.
pub(super) fn system(value: Expr) -> Result<System> {
    if !matches!(value, Expr::Lit(_)) && !is_word(&value, "none") {
        return text(Key::System, value).map(|value| System::AtEntry(Box::new(value)));
    }
    let is_system = |literal: &LitStr| {
        let value = literal.value();
        let is_valid =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
        value.starts_with(|c: char| c.is_ascii_lowercase()) && value.chars().all(is_valid)
    };
    let literal = string(&value).filter(is_system).map(System::Literal);
    literal.ok_or_else(|| {
        Error::new_spanned(
            &value,
            "`system` must be the name of the database system as a lower-case string literal, \
             such as \"redb\"",
        )
    })
}

/// The function from an error to its `error.type`.
pub(super) fn error_type(value: Expr) -> Result<Expr> {
    if matches!(value, Expr::Path(_) | Expr::Closure(_)) {
        return Ok(value);
    }
    Err(Error::new_spanned(
        &value,
        "`error_type` must be a function from the error to its name: \
         `error_type = MyError::kind` or `error_type = |e| …`",
    ))
}

pub(super) fn kind(value: &Expr) -> Result<Ident> {
    choice(
        value,
        Key::Kind,
        &[("client", "Client"), ("internal", "Internal")],
    )
}

pub(super) fn metrics(value: &Expr) -> Result<Ident> {
    choice(value, Key::Metrics, &[("off", "off"), ("on", "on")])
}

pub(super) fn future(value: &Expr) -> Result<Ident> {
    choice(
        value,
        Key::Future,
        &[("awaited", "awaited"), ("returned", "returned")],
    )
}

pub(super) fn parent(value: Expr) -> Result<Parent> {
    match choice(&value, Key::Parent, &PARENTS) {
        Ok(word) => Ok(Parent::Word(word)),
        Err(error) if string(&value).is_some() => Err(error),
        Err(_) => Ok(Parent::AtEntry(value)),
    }
}

/// The error for an expression that is one word and not a parameter.
pub(crate) fn unknown_parent(value: &Expr) -> Option<Error> {
    choice(value, Key::Parent, &PARENTS).err()
}

/// Returns the expression if it is one word.
pub(crate) fn word_of(value: &Expr) -> Option<&Ident> {
    match value {
        Expr::Path(path) => path.path.get_ident(),
        _ => None,
    }
}

/// One of a few words. Returns its identifier in the expansion.
fn choice(value: &Expr, key: Key, choices: &[(&str, &str)]) -> Result<Ident> {
    let given = word_of(value).map(ToString::to_string).unwrap_or_default();
    if let Some((_, ident)) = choices.iter().find(|(word, _)| *word == given) {
        return Ok(Ident::new(ident, Span::call_site()));
    }
    let all: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let is_quoted = string(value).is_some_and(|literal| all.contains(&literal.value().as_str()));
    let hint = if is_quoted {
        ", without quotes".to_owned()
    } else {
        did_you_mean(&given, &all)
    };
    Err(Error::new_spanned(
        value,
        format!("`{}` must be one of {}{hint}", key.name(), list(&all)),
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
            "`level` must be one of {}{}",
            list(&LEVELS),
            did_you_mean(&given, &LEVELS)
        ),
    ))
}

/// `"5ms"`, in nanoseconds.
pub(super) fn duration(value: &Expr) -> Result<u64> {
    let wrong = || {
        Error::new_spanned(
            value,
            "`slow` must be a duration as a string literal: a number and `ns`, `us`, `ms`, `s` or \
             `min`, such as \"5ms\"",
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
