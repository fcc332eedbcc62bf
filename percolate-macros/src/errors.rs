//! The mistakes found in one annotation. They are collected, so that the user sees all of them at
//! once.

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

    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    /// Returns `value`, or all mistakes as one error if there were any.
    pub(crate) fn none_or<T>(self, value: impl FnOnce() -> T) -> Result<T> {
        self.0.map_or_else(|| Ok(value()), Err)
    }
}
