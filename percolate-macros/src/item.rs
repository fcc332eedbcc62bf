//! The annotated function and its return type. The body is kept as the tokens that the user wrote,
//! so that editors can complete unfinished code.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, Pat, PathArguments, Result, ReturnType,
    Signature, Type, TypeParamBound, Visibility,
};

/// A function or method with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// `#![…]` at the head of the body.
    pub(crate) inner_attrs: TokenStream,
    pub(crate) body: Group,
}

impl Function {
    /// Parses the item under `attribute`.
    ///
    /// # Errors
    /// If it is not a function, or a function without a body.
    pub(crate) fn parse(attribute: &str, item: &TokenStream) -> Result<Self> {
        let wrong_item = || {
            let (token, kind) = item_kind(item);
            Error::new_spanned(
                token,
                format!(
                    "`{attribute}` can only be used on a function or method with a body{}",
                    kind.map_or_else(String::new, |kind| format!(", not on {kind}"))
                ),
            )
        };
        let parsed: Parsed = syn::parse2(item.clone()).map_err(|error| match item_kind(item) {
            (_, None) => error,
            _ => wrong_item(),
        })?;
        let Parsed {
            attrs,
            vis,
            sig,
            body,
        } = parsed;
        let Some(body) = body else {
            return Err(Error::new_spanned(
                &sig.ident,
                format!(
                    "`{attribute}` needs a function with a body; annotate the method where it is implemented"
                ),
            ));
        };
        let (inner_attrs, body) = split_inner_attributes(&body);
        Ok(Self {
            attrs,
            vis,
            sig,
            inner_attrs,
            body,
        })
    }

    /// Returns the attribute `#[track_caller]`, if the function has it.
    pub(crate) fn track_caller(&self) -> Option<&Attribute> {
        let mut attributes = self.attrs.iter();
        attributes.find(|attribute| attribute.path().is_ident("track_caller"))
    }

    /// Returns the names that its parameters bind.
    pub(crate) fn parameters(&self) -> Vec<Ident> {
        let mut names = Vec::new();
        for input in &self.sig.inputs {
            if let FnArg::Typed(typed) = input {
                bindings(&typed.pat, &mut names);
            }
        }
        names
    }
}

struct Parsed {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: Option<Group>,
}

impl Parse for Parsed {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body = braces(input.parse()?);
        // The compiler reports tokens after the body.
        let _: TokenStream = input.parse()?;
        Ok(Self {
            attrs,
            vis,
            sig,
            body,
        })
    }
}

/// Returns a body in braces. A `$body:block` of `macro_rules!` is inside an invisible group.
fn braces(token: TokenTree) -> Option<Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            group.stream().into_iter().next().and_then(braces)
        }
        _ => None,
    }
}

fn split_inner_attributes(body: &Group) -> (TokenStream, Group) {
    let mut tokens = body.stream().into_iter().peekable();
    let mut inner = TokenStream::new();
    let mut rest = TokenStream::new();
    while let Some(token) = tokens.next() {
        let is_inner = matches!(&token, TokenTree::Punct(hash) if hash.as_char() == '#')
            && matches!(tokens.peek(), Some(TokenTree::Punct(bang)) if bang.as_char() == '!');
        if !is_inner {
            rest.extend([token]);
            break;
        }
        inner.extend([token]);
        inner.extend(tokens.by_ref().take(2));
    }
    rest.extend(tokens);
    let mut body_without = Group::new(Delimiter::Brace, rest);
    body_without.set_span(body.span());
    (inner, body_without)
}

/// Returns the keyword of an item, and its name in a sentence; no name for a function.
fn item_kind(item: &TokenStream) -> (TokenTree, Option<&'static str>) {
    let mut first = None;
    for token in item.clone() {
        if let TokenTree::Ident(word) = &token {
            let kind = match word.to_string().as_str() {
                "fn" => return (token, None),
                "struct" => "a struct",
                "enum" => "an enum",
                "union" => "a union",
                "trait" => "a trait (annotate its methods)",
                "impl" => {
                    "an `impl` block (annotate its methods; `#[db_ops]` and `#[background_jobs]` set defaults for them)"
                }
                "mod" => "a module",
                "type" => "a type alias",
                "static" => "a static",
                "use" => "an import",
                "macro_rules" => "a macro",
                "let" => "a statement",
                _ => {
                    first.get_or_insert(token);
                    continue;
                }
            };
            return (token, Some(kind));
        }
    }
    let nothing = TokenTree::Group(Group::new(Delimiter::None, TokenStream::new()));
    (first.unwrap_or(nothing), Some("this"))
}

fn bindings(pattern: &Pat, names: &mut Vec<Ident>) {
    match pattern {
        Pat::Ident(binding) => {
            names.push(binding.ident.clone());
            if let Some((_, inner)) = &binding.subpat {
                bindings(inner, names);
            }
        }
        Pat::Paren(paren) => bindings(&paren.pat, names),
        Pat::Reference(reference) => bindings(&reference.pat, names),
        Pat::Type(typed) => bindings(&typed.pat, names),
        Pat::Or(or) => or
            .cases
            .iter()
            .take(1)
            .for_each(|case| bindings(case, names)),
        Pat::Slice(slice) => slice
            .elems
            .iter()
            .for_each(|element| bindings(element, names)),
        Pat::Tuple(tuple) => tuple
            .elems
            .iter()
            .for_each(|element| bindings(element, names)),
        Pat::TupleStruct(tuple) => tuple
            .elems
            .iter()
            .for_each(|element| bindings(element, names)),
        Pat::Struct(structure) => structure
            .fields
            .iter()
            .for_each(|field| bindings(&field.pat, names)),
        _ => {}
    }
}

/// How a function returns its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It returns the value.
    Sync,
    /// It is an `async fn`.
    Async,
    /// It returns `impl Future`.
    Future,
    /// It returns a boxed and pinned future.
    BoxFuture,
}

/// How a stream of rows is wrapped.
#[derive(Debug)]
pub(crate) struct StreamShape {
    /// It is the `Ok` of a `Result`.
    pub(crate) in_result: bool,
    /// It is a `Stream`, not an `Iterator`.
    pub(crate) is_async: bool,
    pub(crate) boxed: Boxed,
    /// The type of a row, if the signature has it. The body alone may not determine it.
    pub(crate) item: Option<Type>,
}

/// The box around a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boxed {
    No,
    /// `Box<dyn Iterator>`
    Box,
    /// `Pin<Box<dyn Stream>>`
    Pin,
}

/// The value of a function, and how it is returned.
#[derive(Debug)]
pub(crate) struct Returns {
    pub(crate) shape: Shape,
    /// The type of the value that ends the call, which is the output of a future. `None` if it
    /// cannot be named.
    pub(crate) value: Option<Type>,
}

impl Returns {
    pub(crate) fn of(sig: &Signature) -> Self {
        let declared = match &sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, declared) => Some(&**declared),
        };
        if sig.asyncness.is_some() {
            return Self {
                shape: Shape::Async,
                value: Some(declared.cloned().unwrap_or_else(unit)),
            };
        }
        let Some(declared) = declared else {
            return Self {
                shape: Shape::Sync,
                value: Some(unit()),
            };
        };
        let declared = plain(declared);
        if let Type::ImplTrait(opaque) = declared
            && let Some(future) = bound(&opaque.bounds, &["Future"])
        {
            return Self {
                shape: Shape::Future,
                value: associated(future, "Output").cloned(),
            };
        }
        if let Some(last) = last_segment(declared)
            && (last.ident == "BoxFuture" || last.ident == "LocalBoxFuture")
        {
            return Self {
                shape: Shape::BoxFuture,
                value: type_arguments(last).next().cloned(),
            };
        }
        if let Some(Type::TraitObject(object)) = pinned_box(declared)
            && let Some(future) = bound(&object.bounds, &["Future"])
        {
            return Self {
                shape: Shape::BoxFuture,
                value: associated(future, "Output").cloned(),
            };
        }
        Self {
            shape: Shape::Sync,
            value: Some(declared.clone()),
        }
    }

    /// The same function, whose future is a value like any other.
    pub(crate) fn into_value(self, sig: &Signature) -> Self {
        match &sig.output {
            ReturnType::Type(_, declared) if sig.asyncness.is_none() => Self {
                shape: Shape::Sync,
                value: Some(plain(declared).clone()),
            },
            _ => self,
        }
    }

    /// Returns whether the value of a function that is not `async` may be a future. The signature
    /// does not show what an alias, an associated type or a type of the user is.
    pub(crate) fn may_be_future(&self) -> bool {
        const OTHERS: [&str; 26] = [
            "Arc", "BTreeMap", "BTreeSet", "Cow", "HashMap", "HashSet", "Option", "Rc", "Result",
            "Self", "String", "Vec", "VecDeque", "bool", "f32", "f64", "i32", "i64", "i8", "str",
            "u16", "u32", "u64", "u8", "usize", "u128",
        ];
        match self.value.as_ref().map(plain) {
            Some(ty @ Type::Path(_)) => {
                last_segment(ty).is_some_and(|last| OTHERS.iter().all(|other| last.ident != other))
            }
            Some(Type::ImplTrait(opaque)) => bound(&opaque.bounds, &STREAMS).is_none(),
            _ => false,
        }
    }

    pub(crate) fn is_unit(&self) -> bool {
        matches!(self.value.as_ref().map(plain), Some(Type::Tuple(tuple)) if tuple.elems.is_empty())
    }

    pub(crate) fn is_never(&self) -> bool {
        matches!(self.value.as_ref().map(plain), Some(Type::Never(_)))
    }

    /// Returns the value's type as it can be written inside the function, where `impl Trait` is
    /// `_`; `None` if nothing of it can be written.
    pub(crate) fn hint(&self) -> Option<Type> {
        let hint = self.value.clone()?;
        (!matches!(plain(&hint), Type::ImplTrait(_))).then(|| without_opaque(hint))
    }

    /// Returns how to wrap the returned stream of rows; `None` if the value is not a stream.
    pub(crate) fn stream(&self) -> Option<StreamShape> {
        let value = plain(self.value.as_ref()?);
        if let Some(stream) = stream_of(value) {
            return Some(stream);
        }
        let last = last_segment(value).filter(|last| last.ident == "Result")?;
        let stream = stream_of(type_arguments(last).next()?)?;
        Some(StreamShape {
            in_result: true,
            ..stream
        })
    }
}

const STREAMS: [&str; 5] = [
    "Iterator",
    "DoubleEndedIterator",
    "ExactSizeIterator",
    "FusedIterator",
    "Stream",
];

fn stream_of(value: &Type) -> Option<StreamShape> {
    let value = plain(value);
    let shape = |boxed, bound: &syn::PathSegment| {
        let item = associated(bound, "Item").cloned().map(without_opaque);
        Some(StreamShape {
            in_result: false,
            is_async: bound.ident == "Stream",
            boxed,
            item,
        })
    };
    if let Type::ImplTrait(opaque) = value {
        return shape(Boxed::No, bound(&opaque.bounds, &STREAMS)?);
    }
    if let Some(Type::TraitObject(object)) = pinned_box(value) {
        return shape(Boxed::Pin, bound(&object.bounds, &STREAMS)?);
    }
    let last = last_segment(value)?;
    if last.ident == "BoxStream" || last.ident == "LocalBoxStream" {
        let item = type_arguments(last).next().cloned().map(without_opaque);
        return Some(StreamShape {
            in_result: false,
            is_async: true,
            boxed: Boxed::Pin,
            item,
        });
    }
    match type_arguments(last).next().map(plain) {
        Some(Type::TraitObject(object)) if last.ident == "Box" => {
            shape(Boxed::Box, bound(&object.bounds, &STREAMS)?)
        }
        _ => None,
    }
}

/// Replaces every `impl Trait` with `_`.
fn without_opaque(mut ty: Type) -> Type {
    InferOpaque.visit_type_mut(&mut ty);
    ty
}

struct InferOpaque;

impl VisitMut for InferOpaque {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(opaque) = ty {
            let underscore = syn::Token![_](opaque.impl_token.span);
            *ty = syn::parse_quote!(#underscore);
        } else {
            visit_mut::visit_type_mut(self, ty);
        }
    }
}

fn unit() -> Type {
    syn::parse_quote!(())
}

fn plain(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Paren(inner) => &inner.elem,
            Type::Group(inner) => &inner.elem,
            other => return other,
        };
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match plain(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn type_arguments(segment: &syn::PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
}

/// `T` of `Pin<Box<T>>`.
fn pinned_box(ty: &Type) -> Option<&Type> {
    let pin = last_segment(ty).filter(|last| last.ident == "Pin")?;
    let inner = last_segment(type_arguments(pin).next()?).filter(|last| last.ident == "Box")?;
    type_arguments(inner).next().map(plain)
}

fn bound<'a>(
    bounds: impl IntoIterator<Item = &'a TypeParamBound>,
    names: &[&str],
) -> Option<&'a syn::PathSegment> {
    bounds.into_iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .filter(|last| names.iter().any(|name| last.ident == name)),
        _ => None,
    })
}

fn associated<'a>(segment: &'a syn::PathSegment, name: &str) -> Option<&'a Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == name => Some(&assoc.ty),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn returns(item: &TokenStream) -> Returns {
        Returns::of(&Function::parse("#[db_op]", item).expect("a function").sig)
    }

    #[test]
    fn the_shape_is_read_from_the_signature() {
        for (item, shape) in [
            (
                quote!(
                    fn f() {}
                ),
                Shape::Sync,
            ),
            (
                quote!(
                    fn f() -> Result<impl Iterator<Item = u8>, E> {}
                ),
                Shape::Sync,
            ),
            (
                quote!(
                    async fn f() {}
                ),
                Shape::Async,
            ),
            (
                quote!(
                    fn f() -> impl core::future::Future<Output = u8> + Send {}
                ),
                Shape::Future,
            ),
            (
                quote!(
                    fn f<'a>() -> Pin<Box<dyn Future<Output = u8> + Send + 'a>> {}
                ),
                Shape::BoxFuture,
            ),
            (
                quote!(
                    fn f<'a>() -> futures::future::BoxFuture<'a, u8> {}
                ),
                Shape::BoxFuture,
            ),
        ] {
            assert_eq!(returns(&item).shape, shape, "{item}");
        }
    }

    #[test]
    fn a_hint_never_holds_impl_trait() {
        let hint = |item: TokenStream| returns(&item).hint().map(|hint| quote!(#hint).to_string());
        assert_eq!(
            hint(quote!(
                fn f() -> impl Iterator<Item = u8> {}
            )),
            None
        );
        assert_eq!(
            hint(quote!(
                fn f() -> Result<impl Sized, E> {}
            ))
            .as_deref(),
            Some("Result < _ , E >")
        );
        assert_eq!(
            hint(quote!(
                fn f() {}
            ))
            .as_deref(),
            Some("()")
        );
        assert_eq!(
            hint(quote!(
                fn f() -> impl Future<Output = Option<u8>> {}
            ))
            .as_deref(),
            Some("Option < u8 >")
        );
    }

    #[test]
    fn streams_are_found_in_boxes_and_results() {
        let stream = |item: TokenStream| {
            returns(&item)
                .stream()
                .map(|stream| (stream.in_result, stream.boxed))
        };
        assert_eq!(
            stream(quote!(
                fn f() -> impl Iterator<Item = u8> {}
            )),
            Some((false, Boxed::No))
        );
        assert_eq!(
            stream(quote!(
                fn f() -> io::Result<impl Stream<Item = u8>> {}
            )),
            Some((true, Boxed::No))
        );
        assert_eq!(
            stream(quote!(
                fn f() -> Box<dyn Iterator<Item = u8> + '_> {}
            )),
            Some((false, Boxed::Box))
        );
        assert_eq!(
            stream(quote!(
                fn f() -> Result<BoxStream<'static, u8>, E> {}
            )),
            Some((true, Boxed::Pin))
        );
        assert_eq!(
            stream(quote!(
                fn f() -> Pin<Box<dyn Stream<Item = u8>>> {}
            )),
            Some((false, Boxed::Pin))
        );
        assert_eq!(
            stream(quote!(
                fn f() -> Vec<u8> {}
            )),
            None
        );
    }

    #[test]
    fn a_body_that_does_not_parse_is_kept() {
        let function = Function::parse("#[db_op]", &quote!(fn f() { #![allow(x)] let x = ; }))
            .expect("a function");
        assert_eq!(function.body.stream().to_string(), "let x = ;");
        assert_eq!(function.inner_attrs.to_string(), "# ! [allow (x)]");
    }

    #[test]
    fn parameters_are_found_in_patterns() {
        let function = Function::parse(
            "#[db_op]",
            &quote!(
                fn f(&self, (a, Key { b, c: [d, ..] }): T, _: u8, mut e: u8) {}
            ),
        )
        .expect("a function");
        let names: Vec<_> = function
            .parameters()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["a", "b", "d", "e"]);
    }

    #[test]
    fn an_error_names_the_kind_of_item() {
        let error = Function::parse(
            "#[db_op]",
            &quote!(
                pub struct S;
            ),
        )
        .expect_err("a struct");
        assert_eq!(
            error.to_string(),
            "`#[db_op]` can only be used on a function or method with a body, not on a struct"
        );
        let error = Function::parse(
            "#[db_op]",
            &quote!(
                fn f();
            ),
        )
        .expect_err("no body");
        assert!(
            error.to_string().contains("needs a function with a body"),
            "{error}"
        );
    }
}
