//! The mistakes found in one annotation. They are collected, so that the user sees all of them at
//! once.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Error, Result};

/// Mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    /// Returns `value`, or all mistakes as one error if there were any.
    pub(crate) fn none_or<T>(self, value: impl FnOnce() -> T) -> Result<T> {
        self.0.map_or_else(|| Ok(value()), Err)
    }
}

/// Returns the tokens that report the mistakes: `compile_error! { … }` for each, without the path
/// `::core` of `syn`, which is a module of the user's crate in edition 2015.
pub(crate) fn compile_errors(errors: &Error) -> TokenStream {
    let is_path = |token: &TokenTree| match token {
        TokenTree::Punct(colon) => colon.as_char() == ':',
        TokenTree::Ident(module) => module == "core",
        _ => false,
    };
    let tokens = errors.to_compile_error().into_iter();
    tokens.filter(|token| !is_path(token)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_reported_in_every_edition() {
        let mut errors = Errors::default();
        errors.at(quote::quote!(a), "first");
        errors.at(quote::quote!(b), "second");
        let errors = compile_errors(&errors.none_or(|| ()).expect_err("mistakes"));
        let expected = quote::quote!(compile_error! { "first" } compile_error! { "second" });
        assert_eq!(errors.to_string(), expected.to_string());
    }
}
