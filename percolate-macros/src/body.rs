//! The tokens of a body. Each `record!(key = value)` is rewritten into the form that names the
//! site; all other tokens are kept, whether they parse or not.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::LitStr;
use syn::spanned::Spanned;

use crate::args::{Name, check_attribute, recorded};
use crate::errors::Errors;

/// A body after the rewriting of `record!`.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) tokens: TokenStream,
    /// The attributes that `record!` adds to those of the annotation.
    pub(crate) attributes: Vec<LitStr>,
    /// The indexes of all attributes that `record!` sets.
    pub(crate) recorded: Vec<usize>,
}

/// The result of a `record!`.
#[derive(Clone, Copy)]
enum Rewrite<'a> {
    /// It records on this site, whose first attributes are those of the annotation.
    Site(&'a Ident, &'a [LitStr]),
    /// The annotation has mistakes. It records nothing, so that it causes no second error.
    Nothing,
}

/// Rewrites the body of an annotated function.
pub(crate) fn rewrite(
    tokens: TokenStream,
    site: &Ident,
    declared: &[LitStr],
    errors: &mut Errors,
) -> Body {
    let mut found = Found::default();
    let tokens = walk(tokens, Rewrite::Site(site, declared), &mut found, errors);
    Body {
        tokens,
        attributes: found.attributes,
        recorded: found.recorded,
    }
}

/// The attributes of the `record!`s found so far.
#[derive(Default)]
struct Found {
    /// Those that the annotation does not declare.
    attributes: Vec<LitStr>,
    /// The indexes of all.
    recorded: Vec<usize>,
}

/// Macros of the standard library and percolate that do not leave the function.
const STAYING: [&str; 33] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "concat",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env",
    "eprint",
    "eprintln",
    "file",
    "format",
    "format_args",
    "include",
    "include_bytes",
    "include_str",
    "line",
    "matches",
    "module_path",
    "option_env",
    "panic",
    "print",
    "println",
    "record",
    "stringify",
    "todo",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
    "column",
];

/// Returns the first token of a body with which it may leave its function: `return`, `?`, or a
/// macro that may contain one of them. Those of closures inside count too.
pub(crate) fn leaving_token(body: TokenStream) -> Option<TokenTree> {
    let mut before: Vec<TokenTree> = Vec::new();
    for token in body {
        let leaves = match &token {
            TokenTree::Ident(word) => word == "return",
            TokenTree::Punct(mark) if mark.as_char() == '?' => true,
            TokenTree::Punct(mark) if mark.as_char() == '!' => false,
            TokenTree::Group(_) => match &before[..] {
                [.., TokenTree::Ident(name), TokenTree::Punct(bang)] => {
                    bang.as_char() == '!' && STAYING.iter().all(|known| name != known)
                }
                _ => false,
            },
            _ => false,
        };
        if leaves {
            return match (&token, before.len().checked_sub(2)) {
                (TokenTree::Group(_), Some(name)) => before.into_iter().nth(name),
                _ => Some(token),
            };
        }
        if let TokenTree::Group(group) = &token
            && let Some(leaving) = leaving_token(group.stream())
        {
            return Some(leaving);
        }
        before.push(token);
    }
    None
}

/// Returns the item of an annotation with mistakes as the user wrote it, so that other code still
/// compiles. Consequential errors are avoided: `record!` records nothing, and parameters that only
/// the annotation uses cause no warning.
pub(crate) fn of_failed(item: TokenStream) -> TokenStream {
    let item = walk(
        item,
        Rewrite::Nothing,
        &mut Found::default(),
        &mut Errors::default(),
    );
    quote!(#[allow(unused_variables)] #item)
}

fn walk(
    tokens: TokenStream,
    to: Rewrite<'_>,
    found: &mut Found,
    errors: &mut Errors,
) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    let mut is_inner_body_next = false;
    for token in tokens {
        let TokenTree::Group(group) = token else {
            out.push(token);
            continue;
        };
        if is_annotation(&out, &group) {
            is_inner_body_next = true;
        } else if is_inner_body_next && group.delimiter() == Delimiter::Brace {
            is_inner_body_next = false;
            out.push(group.into());
            continue;
        }
        let inner = if is_record(&out)
            && let Some(pairs) = recorded(group.stream())
        {
            arguments(pairs, to, found, errors, group.span_open())
        } else {
            group.stream()
        };
        let mut rewritten = Group::new(group.delimiter(), walk(inner, to, found, errors));
        rewritten.set_span(group.span());
        out.push(rewritten.into());
    }
    out.into_iter().collect()
}

/// Returns whether a group is the annotation of a function inside the body, which rewrites its own
/// `record!`. The annotation can be inside a `cfg_attr`.
fn is_annotation(before: &[TokenTree], group: &Group) -> bool {
    let is_attribute =
        matches!(before.last(), Some(TokenTree::Punct(hash)) if hash.as_char() == '#');
    is_attribute
        && group.delimiter() == Delimiter::Bracket
        && names_annotation(group.stream(), true)
}

fn names_annotation(attribute: TokenStream, is_outermost: bool) -> bool {
    let mut is_conditional = false;
    attribute.into_iter().any(|token| match token {
        TokenTree::Ident(name) => {
            is_conditional |= is_outermost && name == "cfg_attr";
            name == "db_op" || name == "background_job"
        }
        TokenTree::Group(group) => is_conditional && names_annotation(group.stream(), false),
        _ => false,
    })
}

/// Returns whether the last tokens are `record !`, alone or at the end of a path.
fn is_record(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Ident(name), TokenTree::Punct(bang)] if bang.as_char() == '!' && name == "record")
}

/// `@site SITE [index &(value)] …`
fn arguments(
    pairs: Vec<(Name, syn::Expr)>,
    to: Rewrite<'_>,
    found: &mut Found,
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
            .chain(&found.attributes)
            .position(|known| known.value() == name.value());
        let index = index.unwrap_or_else(|| {
            found.attributes.push(name.literal);
            declared.len() + found.attributes.len() - 1
        });
        found.recorded.push(index);
        // By reference, and with the location of the value, where the compiler reports its errors.
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
    fn record_refers_to_its_attribute_by_index() {
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
    fn an_annotated_inner_function_keeps_its_record() {
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
    fn what_may_leave_a_body_is_found() {
        for (body, leaving) in [
            (
                quote!({
                    if a != b {
                        assert!(c == d, "{}", e)
                    } else {
                        vec![f]
                    }
                }),
                None,
            ),
            (
                quote!({
                    let x = !(a) && !{ b };
                    record!(a.b = 1);
                    x
                }),
                None,
            ),
            (
                quote!({
                    for x in y {
                        return;
                    }
                }),
                Some("return"),
            ),
            (quote!({ vec![a?] }), Some("?")),
            (quote!({ anyhow::ensure!(a) }), Some("ensure")),
        ] {
            let found = leaving_token(body).map(|token| token.to_string());
            assert_eq!(found.as_deref(), leaving);
        }
    }

    #[test]
    fn all_other_tokens_are_kept() {
        let tokens =
            quote!(record(a = b); my::record!(a, b); let record = !(x = y); json!({ "a": record }));
        assert_eq!(rewritten(tokens.clone()), (tokens.to_string(), vec![]));
    }
}
