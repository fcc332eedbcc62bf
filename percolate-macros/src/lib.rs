//! Attribute macros of percolate: `#[db_op]`, `#[background_job]` and their defaults for whole blocks. Use them
//! through `percolate_core`, which re-exports them with the runtime they speak to.
//!
//! An annotation is read in steps, each in its own module and tested on tokens: `args` (tokens to a typed struct),
//! `item` (the function under it), `validate` (both together), `body` (`record!`), `expand` (to tokens).

mod args;
mod body;
mod defaults;
mod expand;
mod item;
mod validate;
mod vocabulary;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use args::{Args, Errors};
use vocabulary::Annotation;

/// Makes a function a database operation.
#[proc_macro_attribute]
pub fn db_op(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    annotate(Annotation::Db, arguments.into(), item.into()).into()
}

/// Makes a function a background job.
#[proc_macro_attribute]
pub fn background_job(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    annotate(Annotation::Job, arguments.into(), item.into()).into()
}

/// Gives defaults to the `#[db_op]` methods of an `impl` block or trait.
#[proc_macro_attribute]
pub fn db_ops(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    give_defaults(Annotation::Db, arguments.into(), item.into()).into()
}

/// Gives defaults to the `#[background_job]` methods of an `impl` block or trait.
#[proc_macro_attribute]
pub fn background_jobs(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    give_defaults(Annotation::Job, arguments.into(), item.into()).into()
}

fn annotate(annotation: Annotation, arguments: TokenStream, item: TokenStream) -> TokenStream {
    annotated(annotation, arguments, &item).unwrap_or_else(|error| {
        let (errors, item) = (error.into_compile_error(), body::of_failed(item));
        quote!(#errors #item)
    })
}

fn annotated(annotation: Annotation, arguments: TokenStream, item: &TokenStream) -> syn::Result<TokenStream> {
    let function = item::Function::parse(annotation.attribute(), item)?;
    let returns = item::Returns::of(&function.sig);
    let mut errors = Errors::default();
    let args = Args::parse(annotation, arguments, &function.parameters(), &mut errors)?;
    validate::check(&args, &function, &returns, &mut errors);
    let mut custom: Vec<_> = args.keys.fields.iter().map(|field| field.name.clone()).collect();
    let rewritten = body::rewrite(function.body.to_token_stream(), &expand::site_name(), &custom, &mut errors);
    custom.extend(rewritten.attributes);
    let annotated = expand::Annotated { args, function, returns, body: rewritten.tokens, custom };
    errors.none_or(|| expand::expand(&annotated))
}

fn give_defaults(annotation: Annotation, arguments: TokenStream, item: TokenStream) -> TokenStream {
    defaults::apply(annotation, arguments, &item).unwrap_or_else(|error| {
        let (errors, item) = (error.into_compile_error(), body::of_failed(item));
        quote!(#errors #item)
    })
}
