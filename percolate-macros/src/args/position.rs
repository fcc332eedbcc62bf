//! The first two positions of an annotation: the operation or job type, and the parameter that is
//! the collection or target.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr};

use super::Target;
use super::attribute::Name;
use super::cursor::{skip_argument, starts_with_key};
use super::values::ungrouped;
use crate::errors::Errors;
use crate::nearest::{expected_one_of, list};
use crate::vocabulary::Annotation;

/// Reads the operation or job type. Returns `None` if the first position is missing.
pub(super) fn first(
    annotation: Annotation,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> Option<LitStr> {
    let place = if input.is_empty() {
        Span::call_site()
    } else {
        input.span()
    };
    if input.is_empty() || starts_with_key(input, &[]) {
        errors.push(Error::new(place, missing(annotation)));
        return None;
    }
    if !input.peek(LitStr) && !input.peek(Ident::peek_any) {
        errors.push(Error::new(place, missing(annotation)));
        skip_argument(input);
        return Some(unnamed());
    }
    let is_literal = input.peek(LitStr);
    let name: Name = match input.parse() {
        Ok(name) => name,
        Err(error) => {
            errors.push(error);
            skip_argument(input);
            return Some(unnamed());
        }
    };
    let wrong = if is_literal {
        annotation.malformed_name(&name.value())
    } else {
        unknown(annotation, &name.value())
    };
    if let Some(message) = wrong {
        errors.at(&name, message);
    }
    Some(name.literal)
}

/// The placeholder for a name that could not be read, so that the rest can be checked.
pub(super) fn unnamed() -> LitStr {
    LitStr::new("", Span::call_site())
}

fn missing(annotation: Annotation) -> String {
    let example = match annotation {
        Annotation::Db => "#[db_op(get, cf)]",
        Annotation::Job => "#[background_job(index.build)]",
    };
    format!(
        "`{}` needs {} first, as in `{example}`: one of {}, or a string literal",
        annotation.attribute(),
        annotation.a_name(),
        list(&annotation.known_names())
    )
}

/// Returns the error message for a word that is not known by name.
fn unknown(annotation: Annotation, name: &str) -> Option<String> {
    let known = annotation.known_names();
    if known.contains(&name) {
        return None;
    }
    let other = annotation.other();
    if other.known_names().contains(&name) {
        let attribute = other.attribute();
        let open = attribute.trim_end_matches(']');
        return Some(format!(
            "`{name}` is {} of `{attribute}`; write `{open}({name})]`",
            other.a_name()
        ));
    }
    let noun = annotation.name_noun();
    Some(format!(
        "unknown {noun} `{name}`; {}; write any other {noun} as a string literal",
        expected_one_of(name, &known)
    ))
}

/// Reads the argument between the name and the first key.
pub(super) fn second(
    annotation: Annotation,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> Target {
    let key = annotation.target_key().name();
    let start = input.fork();
    match input.parse().map(ungrouped) {
        Ok(Expr::Path(path)) if path.attrs.is_empty() && path.path.get_ident().is_some() => path
            .path
            .get_ident()
            .cloned()
            .map_or(Target::None, Target::Parameter),
        Ok(
            value @ Expr::Lit(ExprLit {
                lit: Lit::Str(_), ..
            }),
        ) => Target::Given(value),
        Ok(other) => {
            errors.at(
                &other,
                format!(
                    "the second position is the name of a parameter or a string literal; write \
                     `{key} = …` for any other expression"
                ),
            );
            Target::None
        }
        Err(_) => {
            errors.push(start.error(format!(
                "expected the parameter that is the {key}, or `key = value`"
            )));
            skip_argument(input);
            Target::None
        }
    }
}
