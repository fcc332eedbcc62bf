//! Moving over the tokens of an annotation, so that reading continues after a mistake.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, Ident, Result, Token};

use crate::errors::Errors;
use crate::key::Key;

/// Flags of `#[instrument]`.
const INSTRUMENT_FLAGS: [&str; 3] = ["skip_all", "err", "ret"];

/// Reads arguments to the end. A mistake in one does not stop the next.
pub(super) fn each(
    input: ParseStream<'_>,
    errors: &mut Errors,
    mut argument: impl FnMut(ParseStream<'_>, &mut Errors) -> Result<()>,
) {
    while !input.is_empty() {
        if let Err(error) = argument(input, errors) {
            errors.push(error);
            skip_argument(input);
        }
        comma(input, errors);
    }
}

/// Reads a comma, if anything follows.
pub(super) fn comma(input: ParseStream<'_>, errors: &mut Errors) {
    if input.is_empty() {
        return;
    }
    if !input.peek(Token![,]) {
        errors.push(input.error("expected `,` between arguments"));
        skip_argument(input);
    }
    // Only a comma or the end is left here.
    let _: Result<Token![,]> = input.parse();
}

/// Skips the tokens before the next comma.
pub(super) fn skip_argument(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// Skips `= value`, whose expression may contain commas.
pub(super) fn skip_value(input: ParseStream<'_>) {
    if input.peek(Token![=]) && input.parse::<Token![=]>().is_ok() {
        let ahead = input.fork();
        if ahead.parse::<Expr>().is_ok() {
            let _: Result<Expr> = input.parse();
        }
    }
    skip_argument(input);
}

/// Returns the tokens that were read since `start`.
pub(super) fn consumed(start: ParseStream<'_>, now: ParseStream<'_>) -> TokenStream {
    let count = |at: ParseStream<'_>| at.cursor().token_stream().into_iter().count();
    let left = start.cursor().token_stream().into_iter();
    left.take(count(start).saturating_sub(count(now))).collect()
}

/// Returns the next word, keywords included, without reading it.
pub(super) fn next_word(input: ParseStream<'_>) -> Option<Ident> {
    input.fork().call(Ident::parse_any).ok()
}

/// Returns whether a key follows: `key = …`, `key? = …`, `fields(…)`, or a flag that is not a
/// parameter.
pub(super) fn starts_with_key(input: ParseStream<'_>, parameters: &[Ident]) -> bool {
    let ahead = input.fork();
    let Ok(key) = ahead.call(Ident::parse_any) else {
        return false;
    };
    let is_alone = ahead.is_empty() || ahead.peek(Token![,]);
    (ahead.peek(Token![=]) && !ahead.peek(Token![==]))
        || ahead.peek(Token![?])
        || (key == Key::Fields.name() && ahead.peek(syn::token::Paren))
        || (is_flag(&key) && is_alone && !parameters.contains(&key))
}

fn is_flag(key: &Ident) -> bool {
    key == Key::Leaf.name() || INSTRUMENT_FLAGS.iter().any(|flag| key == flag)
}
