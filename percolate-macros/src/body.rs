//! The tokens of a body: finds each `record!(key = value)` and turns it into the form that names the site. Nothing
//! else is touched, and nothing needs to parse.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::LitStr;
use syn::spanned::Spanned;

use crate::args::{Errors, Name, check_attribute, recorded};

/// A body without `record!` in the user's form.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) tokens: TokenStream,
    /// What `record!` adds to the annotation's own attributes.
    pub(crate) attributes: Vec<LitStr>,
}

/// What becomes of a `record!`.
#[derive(Clone, Copy)]
enum Rewrite<'a> {
    /// It records on this site; the annotation itself declares these attributes first.
    Site(&'a Ident, &'a [LitStr]),
    /// The annotation is wrong: it records nothing, and is no second error.
    Nothing,
}

/// Rewrites the body of an annotated function.
pub(crate) fn rewrite(
    tokens: TokenStream,
    site: &Ident,
    declared: &[LitStr],
    errors: &mut Errors,
) -> Body {
    let mut attributes = Vec::new();
    let tokens = walk(
        tokens,
        Rewrite::Site(site, declared),
        &mut attributes,
        errors,
    );
    Body { tokens, attributes }
}

/// The item of an annotation that failed, as the user wrote it: so that nothing else breaks. Only what would be said a
/// second time is kept quiet: `record!`, and parameters that the annotation alone names.
pub(crate) fn of_failed(item: TokenStream) -> TokenStream {
    let item = walk(
        item,
        Rewrite::Nothing,
        &mut Vec::new(),
        &mut Errors::default(),
    );
    quote!(#[allow(unused_variables)] #item)
}

fn walk(
    tokens: TokenStream,
    to: Rewrite<'_>,
    attributes: &mut Vec<LitStr>,
    errors: &mut Errors,
) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    let mut is_other_body_next = false;
    for token in tokens {
        let TokenTree::Group(group) = token else {
            out.push(token);
            continue;
        };
        if is_annotation(&out, &group) {
            is_other_body_next = true;
        } else if is_other_body_next && group.delimiter() == Delimiter::Brace {
            is_other_body_next = false;
            out.push(group.into());
            continue;
        }
        let inner = if is_record(&out)
            && let Some(pairs) = recorded(group.stream())
        {
            arguments(pairs, to, attributes, errors, group.span_open())
        } else {
            group.stream()
        };
        let mut rewritten = Group::new(group.delimiter(), walk(inner, to, attributes, errors));
        rewritten.set_span(group.span());
        out.push(rewritten.into());
    }
    out.into_iter().collect()
}

/// Whether a group is the annotation of a function inside the body, whose `record!` is its own matter.
fn is_annotation(before: &[TokenTree], group: &Group) -> bool {
    let is_attribute =
        matches!(before.last(), Some(TokenTree::Punct(hash)) if hash.as_char() == '#');
    let names_us = |token| matches!(token, TokenTree::Ident(name) if name == "db_op" || name == "background_job");
    is_attribute
        && group.delimiter() == Delimiter::Bracket
        && group.stream().into_iter().any(names_us)
}

/// Whether the last tokens are `record !`, alone or at the end of a path in which the crate is called anything.
fn is_record(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Ident(name), TokenTree::Punct(bang)] if bang.as_char() == '!' && name == "record")
}

/// `@site SITE [index &(value)] …`
fn arguments(
    pairs: Vec<(Name, syn::Expr)>,
    to: Rewrite<'_>,
    attributes: &mut Vec<LitStr>,
    errors: &mut Errors,
    span: Span,
) -> TokenStream {
    let Rewrite::Site(site, declared) = to else {
        let values = pairs.into_iter().map(|(_, value)| value);
        return quote_spanned!(span=> @nothing #([#values])*);
    };
    let mut each = TokenStream::new();
    for (name, value) in pairs {
        if let Err(error) = check_attribute(&name) {
            errors.push(error);
        }
        let index = declared
            .iter()
            .chain(&*attributes)
            .position(|known| known.value() == name.value());
        let index = index.unwrap_or_else(|| {
            attributes.push(name.literal);
            declared.len() + attributes.len() - 1
        });
        // By reference, and at the place of the value, where the compiler reports what is wrong with it.
        each.extend(quote_spanned!(value.span()=> [#index &(#value)]));
    }
    quote_spanned!(span=> @site #site #each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::format_ident;

    fn rewritten(tokens: TokenStream) -> (String, Vec<String>) {
        let mut errors = Errors::default();
        let declared: [LitStr; 1] = [syn::parse_quote!("a.b")];
        let body = rewrite(tokens, &format_ident!("SITE"), &declared, &mut errors);
        (
            body.tokens.to_string(),
            body.attributes.iter().map(LitStr::value).collect(),
        )
    }

    #[test]
    fn record_names_its_attribute_by_number() {
        let (tokens, attributes) = rewritten(quote!(if x {
            percolate_core::record!(c.d = f(1));
            record!(a.b = 2, c.d = 3)
        }));
        let expected = quote!(if x {
            percolate_core::record!(@site SITE [1usize &(f(1))]);
            record!(@site SITE [0usize &(2)] [1usize &(3)])
        });
        assert_eq!(tokens, expected.to_string());
        assert_eq!(attributes, ["c.d"]);
    }

    #[test]
    fn an_annotated_function_inside_keeps_its_own() {
        let inner = quote!(
            #[percolate_core::db_op(get, "a")]
            fn f(a: [u8; 2]) -> u8 {
                record!(c.d = 1)
            }
        );
        let (tokens, attributes) = rewritten(quote!({ #inner } record!(e.f = 2)));
        assert_eq!(
            tokens,
            quote!({ #inner } record!(@site SITE [1usize &(2)])).to_string()
        );
        assert_eq!(attributes, ["e.f"]);
    }

    #[test]
    fn anything_else_is_left_alone() {
        let tokens =
            quote!(record(a = b); my::record!(a, b); let record = !(x = y); json!({ "a": record }));
        assert_eq!(rewritten(tokens.clone()), (tokens.to_string(), vec![]));
    }
}
