//! The expansion: a checked annotation and its function to tokens. It cannot fail.
//!
//! The generated code is one static site, one call to a non-generic function, the unchanged body,
//! and the reading of its value. All paths are absolute, and all locals are hygienic.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Lit, LitStr};

use crate::args::{Args, Count, Parent, QueryText, Rows, System, Target};
use crate::item::{Boxed, Function, Returns, Shape, StreamShape};
use crate::vocabulary::Annotation;

/// The crate that re-exported the macro, and to which the paths of the expansion lead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Home {
    Otel,
    Core,
}

/// A checked annotation and its function.
#[derive(Debug)]
pub(crate) struct Annotated {
    pub(crate) home: Home,
    pub(crate) args: Args,
    pub(crate) function: Function,
    pub(crate) returns: Returns,
    /// The body after `body::rewrite`.
    pub(crate) body: TokenStream,
    /// The attributes of the user: those of `fields(…)`, then those of `record!`.
    pub(crate) custom: Vec<LitStr>,
    /// Those of `custom` that `record!` sets.
    pub(crate) recorded: Vec<usize>,
}

impl Annotated {
    /// Whether the type of the value decides if the call ends with a future.
    fn may_return_future(&self) -> bool {
        let keys = &self.args.keys;
        self.returns.shape == Shape::Sync
            && self.returns.may_be_future()
            && !keys.future_returned
            && !matches!(keys.rows, Some(Rows::Stream(_)))
    }
}

/// Returns the name of the static site.
pub(crate) fn site_name() -> Ident {
    Ident::new("__PERCOLATE_SITE", Span::mixed_site())
}

macro_rules! tokens {
    ($($tokens:tt)*) => { quote_spanned!(Span::mixed_site()=> $($tokens)*) };
}

/// Tokens with the location of a value of the user. `$path` is the path of the hidden module there.
macro_rules! spanned {
    ($generator:expr, $path:ident, $value:expr, $($tokens:tt)*) => {{
        let place = at(&$value);
        let $path = located(&$generator.private, place);
        quote_spanned!(place=> $($tokens)*)
    }};
}

/// A hygienic span with the location of the user's expression, where the compiler reports errors.
fn at(value: &impl Spanned) -> Span {
    Span::mixed_site().located_at(value.span())
}

/// Returns the same tokens with another location.
fn located(tokens: &TokenStream, place: Span) -> TokenStream {
    let moved = tokens.clone().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    moved.collect()
}

/// Generates the function.
pub(crate) fn expand(annotated: &Annotated) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        inner_attrs,
        ..
    } = &annotated.function;
    let generator = Generator {
        private: private(annotated),
        site: site_name(),
        annotated,
    };
    let site = generator.site_static();
    let entered = generator.shape();
    // With the location of the user's braces, so that lints of the function mark the function.
    let mut block = Group::new(Delimiter::Brace, tokens!(#inner_attrs #site #entered));
    block.set_span(annotated.function.body.span());
    tokens!(#(#attrs)* #vis #sig #block)
}

/// Returns the path of the runtime's hidden module.
fn private(annotated: &Annotated) -> TokenStream {
    if let Some(path) = &annotated.args.keys.crate_path {
        tokens!(#path::__private)
    } else {
        match annotated.home {
            Home::Otel => tokens!(::percolate_otel::__private),
            Home::Core => tokens!(::percolate_core::__private),
        }
    }
}

struct Generator<'a> {
    private: TokenStream,
    site: Ident,
    annotated: &'a Annotated,
}

impl Generator<'_> {
    fn args(&self) -> &Args {
        &self.annotated.args
    }

    /// `site!(…);`
    fn site_static(&self) -> TokenStream {
        let Self {
            private: p,
            site,
            annotated,
        } = self;
        let keys = &self.args().keys;
        let kind = Ident::new(
            match self.args().annotation {
                Annotation::Db => "db",
                Annotation::Job => "job",
            },
            Span::mixed_site(),
        );
        let level = keys
            .level
            .clone()
            .unwrap_or_else(|| Ident::new("INFO", Span::mixed_site()));
        let custom = &annotated.custom;
        let name = &self.args().name;
        let mut definition = tokens!(name: #name);
        let some = tokens!(#p::Some);
        let mut define = |tokens: TokenStream| definition.extend(tokens!(, #tokens));
        if let Some(span_name) = &keys.span_name {
            define(tokens!(span_name: #some(#span_name)));
        }
        match &keys.system {
            Some(System::Literal(system)) => define(tokens!(system: #some(#system))),
            Some(System::AtEntry(_)) => define(tokens!(system: #p::None)),
            None => {}
        }
        if let Some(kind) = &keys.kind {
            define(tokens!(kind: #p::Kind::#kind));
        }
        if let Some(nanos) = &keys.slow {
            define(tokens!(slow: #some(#p::core::time::Duration::from_nanos(#nanos))));
        }
        if keys.metrics_off {
            define(tokens!(metrics: false));
        }
        if keys.leaf {
            define(tokens!(leaf: true));
        }
        let late = annotated.recorded.iter().fold(0_u64, |bits, index| {
            bits | u32::try_from(*index)
                .ok()
                .and_then(|index| 1_u64.checked_shl(index))
                .unwrap_or(0)
        });
        if late != 0 {
            define(tokens!(late: #late));
        }
        if self.details_at_entry().is_empty() {
            define(tokens!(describes: false));
        }
        let attributes = self.attributes();
        tokens!(#p::site!(#site, #kind, #level, #attributes, [#(#custom),*], { #definition });)
    }

    /// Returns the optional attributes that this site can record.
    fn attributes(&self) -> TokenStream {
        let p = &self.private;
        let keys = &self.args().keys;
        let has_target = !matches!(self.args().target, None | Some(Target::None));
        let has_rows = !matches!(keys.rows, Some(Rows::None))
            && (keys.rows.is_some() || !self.annotated.returns.is_unit());
        let bits = match self.args().annotation {
            Annotation::Db => [
                ("COLLECTION", has_target),
                ("NAMESPACE", keys.namespace.is_some()),
                ("SERVER_ADDRESS", keys.server_address.is_some()),
                ("BATCH_SIZE", keys.batch_size.is_some()),
                ("QUERY_TEXT", keys.query_text.is_some()),
                (
                    "QUERY_SUMMARY",
                    keys.query_text.is_some() || keys.query_summary.is_some(),
                ),
                ("RETURNED_ROWS", has_rows),
                ("AFFECTED_ROWS", keys.affected_rows.is_some()),
            ]
            .to_vec(),
            Annotation::Job => [
                ("JOB_TARGET", has_target),
                ("JOB_BATCH_SIZE", keys.batch_size.is_some()),
            ]
            .to_vec(),
        };
        let bits = bits
            .into_iter()
            .filter(|(_, can)| *can)
            .map(|(bit, _)| Ident::new(bit, Span::mixed_site()));
        tokens!(0 #(| #p::attr::#bits)*)
    }

    fn shape(&self) -> TokenStream {
        let Self {
            private: p,
            annotated,
            ..
        } = self;
        let body = self.body();
        let entry = self.entry();
        match annotated.returns.shape {
            Shape::Sync if annotated.returns.is_never() => {
                let enter = self.starting("enter", &tokens!(&mut __percolate_call,));
                let called = if annotated.function.track_caller().is_some() {
                    body
                } else {
                    tokens!(#p::call(move || -> ! #body))
                };
                tokens! {
                    #entry
                    let mut __percolate_call = #p::SyncCall::idle();
                    #enter;
                    #called
                }
            }
            Shape::Sync => {
                let enter = self.starting("enter", &tokens!(&mut __percolate_call,));
                // In a closure, the body would be called by the expansion.
                let (called, declared) = if annotated.function.track_caller().is_some() {
                    let declared = annotated.returns.hint();
                    (self.body(), declared.map(|declared| tokens!(: #declared)))
                } else {
                    (self.called(), None)
                };
                let end = if annotated.may_return_future() {
                    self.end_of_unknown()
                } else {
                    self.end(&tokens!(#p::SyncCall::detach(__percolate_call)))
                };
                tokens! {
                    #entry
                    let mut __percolate_call = #p::SyncCall::idle();
                    #enter;
                    let __percolate_value #declared = #called;
                    #end
                }
            }
            Shape::Async => {
                let start = self.starting("start", &TokenStream::new());
                let future = match annotated.returns.hint() {
                    // An `async` block has no return type. The type is written twice, for `return`
                    // and for the end of the body, so that the compiler reports errors in the
                    // user's code.
                    Some(hint) if !annotated.returns.is_never() => {
                        let returned = quote_spanned!(at(&hint)=> return __percolate_value;);
                        tokens!(async move {
                            if let #p::Some(__percolate_value) = #p::None::<#hint> {
                                #returned
                            }
                            let __percolate_value: #hint = #body;
                            #[allow(unreachable_code)] // for a body that ends in a panic
                            return __percolate_value;
                        })
                    }
                    _ => tokens!(async move #body),
                };
                let rest = self.awaited(&future);
                tokens! {
                    #entry
                    let __percolate_call = #start;
                    #rest
                }
            }
            Shape::Future | Shape::BoxFuture => self.returned_future(&entry),
        }
    }

    /// The body of a function that returns a future: the call starts at once and ends with the
    /// future.
    fn returned_future(&self, entry: &TokenStream) -> TokenStream {
        let Self {
            private: p,
            annotated,
            ..
        } = self;
        let start = self.starting("start", &TokenStream::new());
        let is_boxed = annotated.returns.shape == Shape::BoxFuture;
        let (made, future) = if let Some(block) = pinned_block(&annotated.body).filter(|_| is_boxed)
        {
            (None, block)
        } else {
            let called = self.called();
            (
                Some(tokens!(let __percolate_future = #called;)),
                tokens!(__percolate_future),
            )
        };
        let rest = self.awaited(&future);
        let mut wrapped = tokens!(async move { #rest });
        if is_boxed {
            wrapped = tokens!(#p::std::boxed::Box::pin(#wrapped));
        }
        tokens! {
            #entry
            let __percolate_call = #start;
            #made
            #wrapped
        }
    }

    /// Awaits a body inside its call, and ends it.
    fn awaited(&self, future: &TokenStream) -> TokenStream {
        let p = &self.private;
        let mut end = self.end(&tokens!(__percolate_call));
        // The body may leave the type of its value to the signature.
        let declared = match (self.annotated.returns.shape, self.annotated.returns.hint()) {
            (Shape::Future | Shape::BoxFuture, Some(hint)) => Some(tokens!(: (_, #hint))),
            _ => None,
        };
        if let (Shape::Future | Shape::BoxFuture, Some(Rows::Stream(_)), Some(hint)) = (
            self.annotated.returns.shape,
            &self.args().keys.rows,
            self.annotated.returns.hint(),
        ) {
            // Without the type, the box around the stream would not be coerced to a trait object.
            end = tokens!(#p::core::convert::identity::<#hint>(#end));
        }
        tokens! {
            let (__percolate_call, __percolate_value) #declared =
                #p::run(__percolate_call, #future).await;
            #end
        }
    }

    /// The body as a closure that is called once, so that `return` and `?` leave only the closure.
    fn called(&self) -> TokenStream {
        let Self {
            private: p,
            annotated,
            ..
        } = self;
        let body = self.body();
        let declared = match annotated.returns.shape {
            // The type of the box, not the type of the value inside.
            Shape::BoxFuture => match &annotated.function.sig.output {
                syn::ReturnType::Type(_, declared) => Some(declared.to_token_stream()),
                syn::ReturnType::Default => None,
            },
            Shape::Future => None,
            _ => annotated.returns.hint().map(ToTokens::into_token_stream),
        };
        let declared = declared.map(|declared| tokens!(-> #declared));
        tokens!(#p::call(move || #declared #body))
    }

    /// The user's body. With `mut self`, the closure captures all of `self`. If it captured single
    /// fields, the compiler would emit warnings that it does not emit in the function.
    fn body(&self) -> TokenStream {
        let body = &self.annotated.body;
        let receiver = self.annotated.function.sig.receiver();
        match receiver
            .filter(|receiver| receiver.mutability.is_some())
            .map(|receiver| &receiver.self_token)
        {
            Some(this) => tokens!({ let _ = &#this; #body }),
            None => body.clone(),
        }
    }

    /// The counts that are known at entry.
    fn entry(&self) -> TokenStream {
        let p = &self.private;
        let count = tokens!(#p::Option<#p::i64>);
        // Returned rows are in the metrics, so every call counts them; affected rows only recorded
        // calls.
        let rows = self
            .rows_at_entry()
            .map(|value| spanned!(self, q, value, let __percolate_rows: #count = #q::autoref::Count::count(&(#value));));
        let affected = self
            .affected_rows_at_entry()
            .map(|_| tokens!(let mut __percolate_affected_rows: #count = #p::None;));
        tokens!(#rows #affected)
    }

    fn rows_at_entry(&self) -> Option<&Expr> {
        match &self.args().keys.rows {
            Some(Rows::Count(Count::AtEntry(value))) => Some(value),
            _ => None,
        }
    }

    fn affected_rows_at_entry(&self) -> Option<&Expr> {
        match &self.args().keys.affected_rows {
            Some(Count::AtEntry(value)) => Some(value),
            _ => None,
        }
    }

    /// `enter(&mut call, &SITE, Names::new(…), Parent::…, &mut |details| { … })`, or `start` without the call.
    fn starting(&self, how: &str, call: &TokenStream) -> TokenStream {
        let Self {
            private: p, site, ..
        } = self;
        let how = Ident::new(how, Span::mixed_site());
        let keys = &self.args().keys;
        let none = || tokens!(#p::None);
        let target = match &self.args().target {
            None | Some(Target::None) => none(),
            Some(Target::Parameter(name)) => self.name(&name.to_token_stream()),
            Some(Target::Given(value)) => self.name_of(value),
            Some(Target::Optional(value)) => spanned!(self, q, value, #q::optional_name(&(#value))),
        };
        let maybe = |value: &Option<Expr>| match value {
            None => none(),
            Some(value) if is_string(value) => tokens!(#p::Some(#value)),
            Some(value) => {
                spanned!(self, q, value, #q::MaybeName::new(&(#value)).__percolate_get())
            }
        };
        let operation = keys.job_type.as_ref().map(|value| self.text(value));
        let operation = operation.map(|name| tokens!(.with_operation(#name)));
        let system = match &keys.system {
            Some(System::AtEntry(value)) => Some(self.text(value)),
            _ => None,
        };
        let system = system.map(|name| tokens!(.with_system(#name)));
        let (namespace, server_address) = (maybe(&keys.namespace), maybe(&keys.server_address));
        let parent = match &keys.parent {
            None => tokens!(#p::Parent::Child),
            Some(Parent::Word(word)) => tokens!(#p::Parent::#word),
            Some(Parent::AtEntry(value)) => {
                spanned!(self, q, value, { let parent: #q::Parent = #value; parent })
            }
        };
        let details = self.details();
        tokens! {
            #p::#how(
                #call
                &#site,
                #p::Names::new(#target, #namespace, #server_address) #operation #system,
                #parent,
                &mut #details,
            )
        }
    }

    fn name_of(&self, value: &Expr) -> TokenStream {
        if is_string(value) {
            let p = &self.private;
            return tokens!(#p::Some(#value));
        }
        self.name(&value.to_token_stream())
    }

    fn name(&self, value: &TokenStream) -> TokenStream {
        let p = &self.private;
        let text = self.text(value);
        tokens!(#p::Some(#text))
    }

    fn text(&self, value: &(impl ToTokens + Spanned)) -> TokenStream {
        spanned!(self, q, value, #q::AsRef::<#q::str>::as_ref(&(#value)))
    }

    /// The closure that only recorded calls evaluate.
    fn details(&self) -> TokenStream {
        let p = &self.private;
        let details = self.details_at_entry();
        if details.is_empty() {
            return tokens!(|_| {});
        }
        tokens!(|__percolate_details: &mut #p::Details| { #details })
    }

    fn details_at_entry(&self) -> TokenStream {
        let p = &self.private;
        let keys = &self.args().keys;
        let mut details = TokenStream::new();
        if let Some(value) = self.affected_rows_at_entry() {
            details.extend(spanned!(self, q, value, __percolate_affected_rows = #q::autoref::Count::count(&(#value));));
        }
        if let Some(Count::AtEntry(value)) = &keys.batch_size {
            details
                .extend(spanned!(self, q, value, #q::batch_size(__percolate_details, &(#value));));
        }
        // The text adds a summary if there is none.
        if let Some(text) = keys.query_summary.as_ref().map(|text| self.text(text)) {
            details.extend(tokens!(#p::Details::query_summary(__percolate_details, #text);));
        }
        let query = match &keys.query_text {
            Some(QueryText::Sanitized(query)) => Some((tokens!(query_text), query)),
            Some(QueryText::Raw(query)) => Some((tokens!(raw_query_text), query)),
            None => None,
        };
        if let Some((method, query)) = query {
            let text = self.text(query);
            details.extend(tokens!(#p::Details::#method(__percolate_details, #text);));
        }
        for (index, field) in keys.fields.iter().enumerate() {
            let value = &field.value;
            details.extend(
                spanned!(self, q, value, #q::Details::field(__percolate_details, #index, #q::AsField::as_field(&(#value)));),
            );
        }
        details
    }

    /// Reads the value, ends the call, and evaluates to the value.
    fn end(&self, detached: &TokenStream) -> TokenStream {
        if let (Some(Rows::Stream(_)), Some(stream)) =
            (&self.args().keys.rows, self.annotated.returns.stream())
        {
            return self.stream(&stream, detached);
        }
        let outcome = self.outcome(&tokens!(&__percolate_value));
        let (is_live, finish) = (self.is_live(), self.finish(&outcome));
        tokens! {
            if #is_live {
                #finish
            }
            __percolate_value
        }
    }

    /// Ends the call of a value whose type the signature does not show: a boxed future ends it when
    /// it is ready, any other value at once.
    fn end_of_unknown(&self) -> TokenStream {
        let p = &self.private;
        let outcome = self.outcome(&tokens!(__percolate_value));
        let place = match &self.annotated.function.sig.output {
            syn::ReturnType::Type(_, declared) => at(declared),
            syn::ReturnType::Default => Span::mixed_site(),
        };
        let kind = quote_spanned!(place=> __percolate_kind());
        tokens! {
            let __percolate_kind = {
                use #p::returned::traits::*;
                (&&&#p::returned::Value(&__percolate_value)).#kind
            };
            __percolate_kind.__percolate_end(
                __percolate_value,
                __percolate_call,
                move |__percolate_value| #outcome,
            )
        }
    }

    fn is_live(&self) -> TokenStream {
        let p = &self.private;
        if self.annotated.returns.shape == Shape::Sync {
            tokens!(#p::SyncCall::is_live(&__percolate_call))
        } else {
            tokens!(#p::Call::is_live(&__percolate_call))
        }
    }

    fn finish(&self, outcome: &TokenStream) -> TokenStream {
        let p = &self.private;
        if self.annotated.returns.shape == Shape::Sync {
            tokens!(#p::SyncCall::finish(&mut __percolate_call, #outcome);)
        } else {
            tokens!(#p::Call::finish(__percolate_call, #outcome);)
        }
    }

    /// The outcome of a value, of which `value` is a reference.
    fn outcome(&self, value: &TokenStream) -> TokenStream {
        let p = &self.private;
        let keys = &self.args().keys;
        let is_unit = self.annotated.returns.is_unit();
        let mut fields = TokenStream::new();
        let mut set = |field: &str, value: TokenStream| {
            let field = Ident::new(field, Span::mixed_site());
            fields.extend(tokens!(#field: #value,));
        };
        let count = |count: &Count, local: &str| match count {
            Count::OfValue(closure) => {
                spanned!(self, q, closure, #q::autoref::counted(&__percolate_success, #closure))
            }
            Count::AtEntry(_) => Ident::new(local, Span::mixed_site()).into_token_stream(),
        };
        match (&keys.rows, self.args().annotation) {
            (Some(Rows::Count(rows)), _) => set("returned_rows", count(rows, "__percolate_rows")),
            (None, Annotation::Db) if !is_unit => {
                set(
                    "returned_rows",
                    tokens!((&__percolate_success).__percolate_rows()),
                );
            }
            _ => {}
        }
        if let Some(rows) = &keys.affected_rows {
            set("affected_rows", count(rows, "__percolate_affected_rows"));
        }
        if let Some(size @ Count::OfValue(_)) = &keys.batch_size {
            set("batch_size", count(size, ""));
        }
        if self.args().annotation == Annotation::Job && !is_unit {
            set(
                "status",
                tokens!((&__percolate_success).__percolate_status()),
            );
        }
        let success = tokens!(#p::Outcome { #fields ..#p::Outcome::success() });
        let failure = self.failure();
        let ok = tokens!(#p::Ok);
        let err = tokens!(#p::Err);
        tokens! {{
            use #p::autoref::traits::*;
            match #p::autoref::Returned(#value).__percolate_split() {
                #ok(__percolate_success) => #success,
                #err(__percolate_failure) => #p::Outcome::failed(#failure),
            }
        }}
    }

    /// The `error.type` of a `Failure`.
    fn failure(&self) -> TokenStream {
        let p = &self.private;
        if let Some(name) = &self.args().keys.error_type {
            tokens!(#p::autoref::named(&__percolate_failure, #name))
        } else {
            tokens!((&&&&&__percolate_failure).__percolate_info())
        }
    }

    /// Wraps the returned stream, so that the call ends when it is exhausted or dropped.
    fn stream(&self, stream: &StreamShape, detached: &TokenStream) -> TokenStream {
        let p = &self.private;
        let failure = self.failure();
        let some = tokens!(#p::Some);
        let none = tokens!(#p::None);
        let ok = tokens!(#p::Ok);
        let err = tokens!(#p::Err);
        let constructor = Ident::new(
            if stream.is_async {
                "stream"
            } else {
                "iterator"
            },
            Span::mixed_site(),
        );
        let item = stream.item.as_ref().map(|item| tokens!(: &#item));
        let mut wrapped = tokens! {
            #p::Counted::#constructor(#detached, __percolate_value, |__percolate_item #item| {
                use #p::autoref::traits::*;
                match #p::autoref::Returned(__percolate_item).__percolate_split() {
                    #ok(_) => #none,
                    #err(__percolate_failure) => #some(#failure),
                }
            })
        };
        wrapped = match stream.boxed {
            Boxed::No => wrapped,
            Boxed::Box => tokens!(#p::std::boxed::Box::new(#wrapped)),
            Boxed::Pin => tokens!(#p::std::boxed::Box::pin(#wrapped)),
        };
        if !stream.in_result {
            return wrapped;
        }
        let finish = self.finish(&tokens! {
            #p::Outcome::failed({
                use #p::autoref::traits::*;
                let __percolate_failure = #p::autoref::Failure(&__percolate_error);
                #failure
            })
        });
        tokens! {
            match __percolate_value {
                #ok(__percolate_value) => #ok(#wrapped),
                #err(__percolate_error) => {
                    #finish
                    #err(__percolate_error)
                }
            }
        }
    }
}

fn is_string(value: &Expr) -> bool {
    matches!(
        value,
        Expr::Lit(ExprLit {
            lit: Lit::Str(_),
            ..
        })
    )
}

/// Returns the `async move { … }` of a body `{ Box::pin(async move { … }) }`, to which
/// `#[async_trait]` expands. The call can use that box.
fn pinned_block(body: &TokenStream) -> Option<TokenStream> {
    let mut body = body.clone().into_iter();
    let (Some(TokenTree::Group(braces)), None) = (body.next(), body.next()) else {
        return None;
    };
    let tokens: Vec<TokenTree> = braces.stream().into_iter().collect();
    let [path @ .., TokenTree::Group(argument)] = &tokens[..] else {
        return None;
    };
    let is_path = path.iter().all(|token| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => punct.as_char() == ':',
        _ => false,
    });
    let is_pin = matches!(path.last(), Some(TokenTree::Ident(last)) if last == "pin");
    if !is_path || !is_pin || argument.delimiter() != Delimiter::Parenthesis {
        return None;
    }
    let block: Vec<TokenTree> = argument.stream().into_iter().collect();
    match &block[..] {
        [
            TokenTree::Ident(first),
            TokenTree::Ident(second),
            TokenTree::Group(_),
        ] if first == "async" && second == "move" => Some(argument.stream()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenTree;
    use quote::quote;

    use super::*;

    fn count(tokens: TokenStream) -> usize {
        let size = |token| match token {
            TokenTree::Group(group) => 1 + count(group.stream()),
            _ => 1,
        };
        tokens.into_iter().map(size).sum()
    }

    /// A path such as `::percolate_core::__private::Names` is nine tokens.
    #[test]
    fn the_expansion_of_a_typical_function_is_small() {
        let body = quote!(self.inner.get(cf, key).map_err(Error::from));
        let sync =
            quote!(fn get(&self, cf: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> { #body });
        let added = |item: TokenStream| {
            let expanded =
                crate::annotate(Annotation::Db, Home::Core, quote!(get, cf), item.clone());
            count(expanded) - count(item)
        };
        assert!(added(sync.clone()) < 380, "{}", added(sync));
        let later =
            quote!(async fn get(&self, cf: &str) -> Result<Option<Vec<u8>>, Error> { #body });
        assert!(added(later.clone()) < 420, "{}", added(later));
    }

    #[test]
    fn the_body_is_kept() {
        let item = quote!(fn get(cf: &str) -> u8 { let half = ; cf. });
        let expanded = crate::annotate(Annotation::Db, Home::Core, quote!(get, cf), item);
        assert!(
            expanded.to_string().contains("{ let half = ; cf . }"),
            "{expanded}"
        );
    }
}
