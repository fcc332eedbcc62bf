//! `#[db_ops(…)]` and `#[background_jobs(…)]`: the keys they give are added to each annotated method of the block that
//! does not give them itself. The block's tokens are kept; only the methods' annotations grow.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Error, Result};

use crate::args::{Args, Errors};
use crate::vocabulary::Annotation;

/// One `key = value` of the block.
#[derive(Debug)]
struct Default {
    key: String,
    tokens: TokenStream,
    mentions_self: bool,
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
            key: key.to_string(),
            mentions_self: mentions_self(tokens.clone()),
            tokens,
        })
        .collect();
    if defaults.is_empty() {
        return Err(Error::new(
            Span::call_site(),
            format!(
                "`{plural}` wants defaults for the methods of this block, as in `{}(namespace = self.namespace())]`",
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
                "`{plural}` goes above an `impl` block or a trait; above a function write `{}`",
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
                "no method of this block is annotated with `{}`: the defaults would go nowhere",
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

fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}

/// The block's content with its annotations grown, and how many there were.
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
                let Some(grown) = grow(annotation, group, &tokens[index + 1..], defaults, errors)
                else {
                    out.push(token.clone());
                    continue;
                };
                found += 1;
                let mut bracket = Group::new(Delimiter::Bracket, grown);
                bracket.set_span(group.span());
                out.push(bracket.into());
            }
            _ => out.push(token.clone()),
        }
    }
    (out.into_iter().collect(), found)
}

/// The content of `#[db_op(…)]` with the defaults it does not give; `None` for another attribute.
fn grow(
    annotation: Annotation,
    attribute: &Group,
    after: &[TokenTree],
    defaults: &[Default],
    errors: &mut Errors,
) -> Option<TokenStream> {
    let name = match annotation {
        Annotation::Db => "db_op",
        Annotation::Job => "background_job",
    };
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    let [path @ .., TokenTree::Group(arguments)] = &tokens[..] else {
        return None;
    };
    if !matches!(path.last(), Some(TokenTree::Ident(last)) if last == name) {
        return None;
    }
    let given = arguments.stream();
    let keys = top_level_keys(annotation, given.clone());
    let mut added = TokenStream::new();
    for default in defaults
        .iter()
        .filter(|default| !keys.contains(&default.key))
    {
        if default.mentions_self && !has_receiver(after) {
            let key = &default.key;
            errors.at(
                path.last(),
                format!("the default `{key}` mentions `self`, which this function does not have; give it its own `{key}`, or `{key} = none`"),
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
    let mut grown = Group::new(arguments.delimiter(), quote!(#given #added));
    grown.set_span(arguments.span());
    let path = path.iter();
    Some(quote!(#(#path)* #grown))
}

/// The keys a method's annotation gives, the second position included.
fn top_level_keys(annotation: Annotation, arguments: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    let mut keys = Vec::new();
    for (position, argument) in tokens
        .split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','))
        .enumerate()
    {
        match argument {
            [TokenTree::Ident(key)] if key == "leaf" => keys.push(key.to_string()),
            [TokenTree::Ident(_) | TokenTree::Literal(_)] if position == 1 => {
                keys.push(annotation.target_key().to_owned());
            }
            [
                TokenTree::Ident(key),
                TokenTree::Punct(_) | TokenTree::Group(_),
                ..,
            ] => keys.push(key.to_string()),
            _ => {}
        }
    }
    keys
}

/// Whether the next function takes `self`.
fn has_receiver(after: &[TokenTree]) -> bool {
    let function = after
        .iter()
        .skip_while(|token| !matches!(token, TokenTree::Ident(word) if word == "fn"));
    let parameters = function.into_iter().find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            Some(group.stream())
        }
        _ => None,
    });
    let first = parameters
        .into_iter()
        .flatten()
        .take_while(|token| !matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','));
    first
        .into_iter()
        .any(|token| matches!(token, TokenTree::Ident(word) if word == "self"))
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
    fn a_method_takes_the_defaults_it_does_not_give() {
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
        assert!(error.to_string().contains("mentions `self`"), "{error}");
    }

    #[test]
    fn defaults_without_methods_are_an_error() {
        let error = apply(
            Annotation::Db,
            quote!(system = "redb"),
            &quote!(impl Store {}),
        )
        .expect_err("no methods");
        assert!(error.to_string().contains("go nowhere"), "{error}");
    }
}
