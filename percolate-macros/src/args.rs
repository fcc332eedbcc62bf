//! The arguments of an annotation: tokens to a typed struct. Whether they fit the function is
//! checked in `validate.rs`; the keys are in `key.rs` and the words in `vocabulary.rs`.
//!
//! Every mistake is collected: one error each, on the wrong token.

mod attribute;
mod cursor;
mod position;
mod reader;
mod values;

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprClosure, Ident, LitStr, Path, Result};

use crate::errors::Errors;
use crate::key::Key;
use crate::vocabulary::Annotation;
pub(crate) use attribute::{Field, Name, check_attribute, recorded};
use cursor::{comma, consumed, each, starts_with_key};
use reader::Reader;
pub(crate) use values::{unknown_parent, word_of};

/// The arguments of `#[db_op(…)]` or `#[background_job(…)]`.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) annotation: Annotation,
    /// The operation or the job type.
    pub(crate) name: LitStr,
    pub(crate) target: Option<Target>,
    pub(crate) keys: Keys,
}

/// The values of the keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) span_name: Option<LitStr>,
    pub(crate) job_type: Option<Expr>,
    pub(crate) namespace: Option<Expr>,
    pub(crate) server_address: Option<Expr>,
    pub(crate) system: Option<System>,
    /// `Client` or `Internal`.
    pub(crate) kind: Option<Ident>,
    /// `INFO`, …
    pub(crate) level: Option<Ident>,
    pub(crate) fields: Vec<Field>,
    pub(crate) rows: Option<Rows>,
    pub(crate) affected_rows: Option<Count>,
    pub(crate) batch_size: Option<Count>,
    pub(crate) query_text: Option<QueryText>,
    pub(crate) query_summary: Option<Expr>,
    pub(crate) error_type: Option<Expr>,
    /// In nanoseconds.
    pub(crate) slow: Option<u64>,
    pub(crate) parent: Option<Parent>,
    pub(crate) metrics_off: bool,
    pub(crate) leaf: bool,
    /// The call ends when the function returns a future.
    pub(crate) future_returned: bool,
    pub(crate) crate_path: Option<Path>,
}

/// The collection of an operation, or the target of a job.
#[derive(Debug)]
pub(crate) enum Target {
    /// A parameter, in the second position.
    Parameter(Ident),
    /// `collection = expr`, or a string literal in the second position.
    Given(Expr),
    /// `collection? = expr`: an `Option`.
    Optional(Expr),
    /// `collection = none`
    None,
}

/// `system = …`
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "the size depends on the features of `proc-macro2`; an annotation has one"
)]
pub(crate) enum System {
    /// A string literal.
    Literal(LitStr),
    /// An expression, evaluated at entry.
    AtEntry(Box<Expr>),
}

/// `rows = …`
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "the size depends on the features of `proc-macro2`; an annotation has one"
)]
pub(crate) enum Rows {
    /// `stream`, with its token.
    Stream(Ident),
    /// `none`
    None,
    Count(Count),
}

/// `parent = …`
#[derive(Debug)]
pub(crate) enum Parent {
    /// `Child`, `Link` or `Root`.
    Word(Ident),
    /// An expression, evaluated at entry.
    AtEntry(Expr),
}

/// `query_text = …`
#[derive(Debug)]
pub(crate) enum QueryText {
    /// An expression, whose literals are replaced.
    Sanitized(Expr),
    /// `raw(expr)`: recorded as it is.
    Raw(Expr),
}

/// A number of rows or items.
#[derive(Debug)]
pub(crate) enum Count {
    /// An expression: known at entry.
    AtEntry(Expr),
    /// A closure over the returned value.
    OfValue(ExprClosure),
}

impl Args {
    /// Reads the arguments of `#[db_op(…)]` or `#[background_job(…)]`. `parameters` are the names
    /// that the item's parameters bind; they distinguish a second position from a flag.
    ///
    /// Mistakes are pushed to `errors` and their arguments left out, so that the rest can be
    /// checked.
    pub(crate) fn parse(
        annotation: Annotation,
        tokens: TokenStream,
        parameters: &[Ident],
        errors: &mut Errors,
    ) -> Result<Self> {
        let (name, reader) = read(annotation, tokens, parameters, errors)?;
        Ok(Self {
            annotation,
            name,
            target: reader.target,
            keys: reader.keys,
        })
    }

    /// Returns the keys in `#[db_op(…)]` or `#[background_job(…)]`, including the one of the second
    /// position. Mistakes are ignored: the annotation itself reports them.
    pub(crate) fn given_keys(annotation: Annotation, tokens: TokenStream) -> Vec<Key> {
        let Ok((_, reader)) = read(annotation, tokens, &[], &mut Errors::default()) else {
            return Vec::new();
        };
        let mut given = reader.given;
        if reader.target.is_some() {
            given.push(annotation.target_key());
        }
        given
    }

    /// Reads the arguments of `#[db_ops(…)]` or `#[background_jobs(…)]`, which are keys only, and
    /// returns the tokens of each.
    pub(crate) fn parse_defaults(
        annotation: Annotation,
        tokens: TokenStream,
    ) -> Result<Vec<(Key, TokenStream)>> {
        let mut errors = Errors::default();
        let mut written = Vec::new();
        let mut reader = Reader::new(annotation);
        let read = |input: ParseStream<'_>| {
            each(input, &mut errors, |input, errors| {
                let start = input.fork();
                reader.argument(input, errors)?;
                written.push(consumed(&start, input));
                Ok(())
            });
            Ok(())
        };
        read.parse2(tokens)?;
        errors.none_or(|| reader.given.into_iter().zip(written).collect())
    }
}

/// Reads both positions and the keys.
fn read(
    annotation: Annotation,
    tokens: TokenStream,
    parameters: &[Ident],
    errors: &mut Errors,
) -> Result<(LitStr, Reader)> {
    let read = |input: ParseStream<'_>| {
        let mut reader = Reader::new(annotation);
        let first = position::first(annotation, input, errors);
        if first.is_some() {
            comma(input, errors);
            if !input.is_empty() && !starts_with_key(input, parameters) {
                reader.target = Some(position::second(annotation, input, errors));
                comma(input, errors);
            }
        }
        each(input, errors, |input, errors| {
            reader.argument(input, errors)
        });
        Ok((first.unwrap_or_else(position::unnamed), reader))
    };
    read.parse2(tokens)
}

#[cfg(test)]
mod tests;
