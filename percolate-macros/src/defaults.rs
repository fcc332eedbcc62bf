//! `#[db_ops(…)]` and `#[background_jobs(…)]`: their keys are added to each annotated method of the
//! block that does not have them. All other tokens of the block are kept.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Error, Ident, Result, Signature, Visibility};

use crate::args::Args;
use crate::errors::Errors;
use crate::key::Key;
use crate::vocabulary::Annotation;

/// One argument of the block.
#[derive(Debug)]
struct Default {
    key: Key,
    tokens: TokenStream,
    uses_self: bool,
}

/// Adds the block's defaults to its methods.
pub(crate) fn apply(
    annotation: Annotation,
    arguments: TokenStream,
    item: &TokenStream,
) -> Result<TokenStream> {
    let plural = match annotation {
        Annotation::Db => "#[db_ops]",
        Annotation::Job => "#[background_jobs]",
    };
    let defaults: Vec<Default> = Args::parse_defaults(annotation, arguments)?
        .into_iter()
        .map(|(key, tokens)| Default {
            key,
            uses_self: uses_self(tokens.clone()),
            tokens,
        })
        .collect();
    let example = match annotation {
        Annotation::Db => Key::Namespace.example(),
        Annotation::Job => Key::ErrorType.example(),
    };
    if defaults.is_empty() {
        return Err(Error::new(
            Span::call_site(),
            format!(
                "`{plural}` needs defaults for the methods of this block, as in `{}({example})]`",
                plural.trim_end_matches(']')
            ),
        ));
    }
    let mut tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    let is_block = tokens
        .iter()
        .any(|token| matches!(token, TokenTree::Ident(word) if word == "impl" || word == "trait"));
    let Some(TokenTree::Group(braces)) = tokens.last().filter(|_| is_block).cloned() else {
        return Err(Error::new_spanned(
            tokens.first().cloned().map(ToTokens::into_token_stream),
            format!(
                "`{plural}` can only be used on an `impl` block or a trait; on a function write `{}`",
                annotation.attribute()
            ),
        ));
    };
    let mut errors = Errors::default();
    let (inner, methods) = methods(annotation, braces.stream(), &defaults, &mut errors);
    if methods == 0 {
        errors.push(Error::new(
            Span::call_site(),
            format!(
                "no method of this block has `{}`: the defaults have no effect",
                annotation.attribute()
            ),
        ));
    }
    let mut block = Group::new(Delimiter::Brace, inner);
    block.set_span(braces.span());
    tokens.pop();
    tokens.push(block.into());
    errors.none_or(|| tokens.into_iter().collect())
}

/// Returns a block whose defaults have mistakes with a system for its operations, so that they do
/// not report that it is missing.
pub(crate) fn without_consequences(annotation: Annotation, item: TokenStream) -> TokenStream {
    if annotation == Annotation::Job {
        return item;
    }
    let system = Default {
        key: Key::System,
        tokens: quote!(system = "unknown"),
        uses_self: false,
    };
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    if let Some(TokenTree::Group(block)) = tokens.last_mut() {
        let mut ignored = Errors::default();
        let (content, _) = methods(annotation, block.stream(), &[system], &mut ignored);
        *block = with_content(block, content);
    }
    tokens.into_iter().collect()
}

fn uses_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "self",
        TokenTree::Group(group) => uses_self(group.stream()),
        _ => false,
    })
}

/// Returns the block's content with the defaults added, and the number of annotated methods.
fn methods(
    annotation: Annotation,
    block: TokenStream,
    defaults: &[Default],
    errors: &mut Errors,
) -> (TokenStream, usize) {
    let tokens: Vec<TokenTree> = block.into_iter().collect();
    let mut out: Vec<TokenTree> = Vec::new();
    let mut found = 0;
    for (index, token) in tokens.iter().enumerate() {
        let is_attribute =
            matches!(out.last(), Some(TokenTree::Punct(hash)) if hash.as_char() == '#');
        match token {
            TokenTree::Group(group) if is_attribute && group.delimiter() == Delimiter::Bracket => {
                let after = &tokens[index + 1..];
                let Some(grown) = grow(annotation, group.stream(), after, defaults, errors) else {
                    out.push(token.clone());
                    continue;
                };
                found += 1;
                out.push(with_content(group, grown).into());
            }
            _ => out.push(token.clone()),
        }
    }
    (out.into_iter().collect(), found)
}

/// Returns the group with other content.
fn with_content(group: &Group, content: TokenStream) -> Group {
    let mut changed = Group::new(group.delimiter(), content);
    changed.set_span(group.span());
    changed
}

/// Returns the content of `#[db_op(…)]`, or of a `#[cfg_attr(…)]` that contains it, with the
/// defaults that it does not give. Returns `None` for another attribute.
fn grow(
    annotation: Annotation,
    attribute: TokenStream,
    after: &[TokenTree],
    defaults: &[Default],
    errors: &mut Errors,
) -> Option<TokenStream> {
    let name = match annotation {
        Annotation::Db => "db_op",
        Annotation::Job => "background_job",
    };
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    let [path @ .., TokenTree::Group(arguments)] = &tokens[..] else {
        return None;
    };
    let Some(TokenTree::Ident(last)) = path.last() else {
        return None;
    };
    if last == "cfg_attr" {
        let content: Vec<TokenTree> = arguments.stream().into_iter().collect();
        let is_comma =
            |token: &TokenTree| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',');
        let mut is_grown = false;
        let mut grown = TokenStream::new();
        for (index, part) in content.split(is_comma).enumerate() {
            let part: TokenStream = part.iter().cloned().collect();
            // The first part is the condition.
            let changed = (index > 0)
                .then(|| grow(annotation, part.clone(), after, defaults, errors))
                .flatten();
            is_grown |= changed.is_some();
            let part = changed.unwrap_or(part);
            grown.extend(if index > 0 { quote!(, #part) } else { part });
        }
        let grown = with_content(arguments, grown);
        return is_grown.then(|| quote!(#(#path)* #grown));
    }
    if last != name {
        return None;
    }
    let given = arguments.stream();
    let keys = Args::given_keys(annotation, given.clone());
    let mut added = TokenStream::new();
    for default in defaults
        .iter()
        .filter(|default| !keys.contains(&default.key))
    {
        if default.uses_self && !has_receiver(after) {
            let key = default.key.name();
            let or_none = match default.key {
                Key::System => String::new(),
                _ => format!(", or `{key} = none`"),
            };
            errors.at(
                path.last(),
                format!(
                    "the default of `{key}` uses `self`, which this function does not have; write a \
                     `{key}` of its own{or_none}"
                ),
            );
            continue;
        }
        let tokens = &default.tokens;
        added.extend(quote!(, #tokens));
    }
    let ends_with_comma = matches!(given.clone().into_iter().last(), Some(TokenTree::Punct(comma)) if comma.as_char() == ',');
    if ends_with_comma {
        added = added.into_iter().skip(1).collect();
    }
    let grown = with_content(arguments, quote!(#given #added));
    Some(quote!(#(#path)* #grown))
}

/// Returns whether the next function has a `self` parameter.
fn has_receiver(after: &[TokenTree]) -> bool {
    let read = |input: ParseStream<'_>| {
        Attribute::parse_outer(input)?;
        input.parse::<Visibility>()?;
        input.parse::<Option<Ident>>()?; // `default`
        let signature: Signature = input.parse()?;
        input.parse::<TokenStream>()?;
        Ok(signature.receiver().is_some())
    };
    // A signature with mistakes is reported by the compiler, and not once more here.
    read.parse2(after.iter().cloned().collect()).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(arguments: TokenStream, item: &TokenStream) -> String {
        apply(Annotation::Db, arguments, item)
            .expect("accepted")
            .to_string()
    }

    #[test]
    fn defaults_are_added_to_methods_that_do_not_give_them() {
        let item = quote!(
            impl<T> Store<T> {
                #[db_op(get, cf, namespace = none)]
                fn get(&self, cf: &str) {}
                #[doc(hidden)]
                fn plain(&self) {}
                #[percolate_core::db_op(put, collection = "a")]
                fn put(&self) {}
            }
        );
        let expected = quote!(
            impl<T> Store<T> {
                #[db_op(get, cf, namespace = none, system = "redb")]
                fn get(&self, cf: &str) {}
                #[doc(hidden)]
                fn plain(&self) {}
                #[percolate_core::db_op(put, collection = "a", namespace = self.name(a, b), system = "redb")]
                fn put(&self) {}
            }
        );
        assert_eq!(
            applied(quote!(namespace = self.name(a, b), system = "redb"), &item),
            expected.to_string()
        );
    }

    #[test]
    fn a_default_of_self_needs_a_receiver() {
        let item = quote!(impl Store { #[db_op(get, cf)] fn get(cf: &str, me: &self::X) {} });
        let error =
            apply(Annotation::Db, quote!(namespace = self.name()), &item).expect_err("no self");
        assert!(error.to_string().contains("uses `self`"), "{error}");
    }

    #[test]
    fn a_receiver_is_found_behind_generics() {
        let item = quote!(
            impl Store {
                #[db_op(scan, cf)]
                #[inline]
                pub(crate) fn each<F: Fn(u8) -> (u8, u8)>(&self, cf: &str, f: F) where F: Clone {}
                #[db_op(put, cf)]
                default unsafe fn put<const N: usize>(self: Arc<Self>, cf: &str) {}
            }
        );
        let grown = applied(quote!(namespace = self.name()), &item);
        assert_eq!(grown.matches("namespace").count(), 2, "{grown}");
    }

    #[test]
    fn conditional_annotations_have_the_defaults_too() {
        let item = quote!(
            impl Store {
                #[cfg_attr(feature = "telemetry", inline, percolate_otel::db_op(get, cf))]
                fn get(&self, cf: &str) {}
                #[cfg_attr(any(a, b), inline)]
                fn plain(&self) {}
            }
        );
        let expected = quote!(
            impl Store {
                #[cfg_attr(feature = "telemetry", inline, percolate_otel::db_op(get, cf, system = "redb"))]
                fn get(&self, cf: &str) {}
                #[cfg_attr(any(a, b), inline)]
                fn plain(&self) {}
            }
        );
        assert_eq!(
            applied(quote!(system = "redb"), &item),
            expected.to_string()
        );
    }

    #[test]
    fn defaults_without_methods_are_an_error() {
        let error = apply(
            Annotation::Db,
            quote!(system = "redb"),
            &quote!(impl Store {}),
        )
        .expect_err("no methods");
        assert!(error.to_string().contains("no effect"), "{error}");
    }
}
