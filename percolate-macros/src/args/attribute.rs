//! Attributes of the user: `a.b = value` in `fields(…)` and in `record!`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, LitStr, Result, Token};

use crate::vocabulary as words;

/// An attribute and its value in `fields(…)`.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: LitStr,
    pub(crate) value: Expr,
}

/// A name of words and dots, or a string literal.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) literal: LitStr,
    /// As the user wrote it, so that an error marks the whole name.
    tokens: TokenStream,
}

impl Name {
    pub(crate) fn value(&self) -> String {
        self.literal.value()
    }
}

impl ToTokens for Name {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.tokens.clone());
    }
}

impl Parse for Name {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            let literal: LitStr = input.parse()?;
            let tokens = literal.to_token_stream();
            return Ok(Self { literal, tokens });
        }
        let mut tokens = TokenStream::new();
        let mut name = String::new();
        loop {
            let part = input.call(Ident::parse_any)?;
            name.push_str(&part.unraw().to_string());
            part.to_tokens(&mut tokens);
            if !input.peek(Token![.]) {
                break;
            }
            input.parse::<Token![.]>()?.to_tokens(&mut tokens);
            name.push('.');
        }
        let literal = LitStr::new(&name, tokens.span());
        Ok(Self { literal, tokens })
    }
}

/// Reads one attribute of `fields(…)`; `given` are those before it.
pub(super) fn field(input: ParseStream<'_>, given: &[Field]) -> Result<Field> {
    refuse_sigil(input)?;
    let name: Name = input.parse().map_err(|error: Error| {
        let message = "expected the name of an attribute, such as `app.tenant`, and `= value`";
        Error::new(error.span(), message)
    })?;
    let value = if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        refuse_sigil(input)?;
        input.parse()?
    } else {
        variable(&name)?
    };
    check_attribute(&name)?;
    if given.iter().any(|field| field.name.value() == name.value()) {
        let message = format!("the attribute `{}` is given twice", name.value());
        return Err(Error::new_spanned(&name, message));
    }
    Ok(Field {
        name: name.literal,
        value,
    })
}

/// `limit` alone, which is short for `limit = limit`.
fn variable(name: &Name) -> Result<Expr> {
    let value = name.value();
    if value.contains('.') || syn::parse_str::<Ident>(&value).is_err() {
        let message = format!(
            "`{value}` needs a value: `{value} = …`; to record it later, write \
             `record!({value} = …)` in the body"
        );
        return Err(Error::new_spanned(name, message));
    }
    let variable = Ident::new(&value, name.literal.span());
    Ok(syn::parse_quote!(#variable))
}

/// `%x` and `?x` of `tracing`.
fn refuse_sigil(input: ParseStream<'_>) -> Result<()> {
    if input.peek(Token![%]) || input.peek(Token![?]) {
        return Err(input.error(
            "`%` and `?` are not supported, because attributes keep their type; write \
             `name = value` or `name = value.to_string()`",
        ));
    }
    Ok(())
}

/// Checks that an annotation may declare an attribute with this name.
pub(crate) fn check_attribute(name: &Name) -> Result<()> {
    let value = name.value();
    let message = if let Some(source) = words::reserved_attribute(&value) {
        format!("`{value}` is reserved: percolate records it from {source}")
    } else if !words::is_attribute_name(&value) {
        format!(
            "`{value}` is not a valid attribute name; expected lower_snake words joined by dots, \
             such as `app.tenant_id`"
        )
    } else {
        return Ok(());
    };
    Err(Error::new_spanned(name, message))
}

/// Returns the attributes of `record!(key = value, …)`, or `None` if it has another form.
pub(crate) fn recorded(tokens: TokenStream) -> Option<Vec<(Name, Expr)>> {
    let pair = |input: ParseStream<'_>| {
        let name: Name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok((name, input.parse::<Expr>()?))
    };
    let read =
        |input: ParseStream<'_>| Punctuated::<_, Token![,]>::parse_terminated_with(input, pair);
    let pairs: Vec<_> = read.parse2(tokens).ok()?.into_iter().collect();
    (!pairs.is_empty()).then_some(pairs)
}
