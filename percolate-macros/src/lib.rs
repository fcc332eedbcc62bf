//! The attribute macros of percolate: `#[db_op]`, `#[background_job]`, and `#[db_ops]` and
//! `#[background_jobs]` for whole blocks. Use them through `percolate_otel` or `percolate_core`,
//! which re-export them with the runtime that the expansion calls.
//!
//! An annotation is expanded in steps. Each is a module that is tested on tokens: `args` (tokens to
//! a typed struct), `item` (the function), `validate` (both together), `body` (`record!`), `expand`
//! (to tokens). The tables are in `operations` and `key`.

mod args;
mod body;
mod defaults;
mod errors;
mod expand;
mod item;
mod key;
mod nearest;
mod operations;
mod validate;
mod vocabulary;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use args::Args;
use errors::Errors;
use expand::Home;
use vocabulary::Annotation;

/// Declares an attribute macro twice: `$name` expands to paths of `percolate_otel`, `$core_name` to
/// paths of `percolate_core`. Each crate re-exports its own.
macro_rules! attribute {
    ($(#[doc = $doc:literal])+ $name:ident, $core_name:ident => $expand:ident($annotation:ident)) => {
        $(#[doc = $doc])+
        #[proc_macro_attribute]
        pub fn $name(
            arguments: proc_macro::TokenStream,
            item: proc_macro::TokenStream,
        ) -> proc_macro::TokenStream {
            $expand(Annotation::$annotation, Home::Otel, arguments.into(), item.into()).into()
        }

        $(#[doc = $doc])+
        #[proc_macro_attribute]
        pub fn $core_name(
            arguments: proc_macro::TokenStream,
            item: proc_macro::TokenStream,
        ) -> proc_macro::TokenStream {
            $expand(Annotation::$annotation, Home::Core, arguments.into(), item.into()).into()
        }
    };
}

attribute! {
    /// Records each call of a function as a database operation: always in the metrics, and as a
    /// span if it is sampled.
    ///
    /// `#[db_op(operation, parameter, key = value, …)]`
    ///
    /// | Position or key | Sets |
    /// |---|---|
    /// | first: an operation known by name, or a string literal | `db.operation.name` |
    /// | second: the parameter that is the collection, or a string literal | `db.collection.name` |
    /// | `collection = expr`, `collection? = expr`, `collection = none` | the same, from an expression or an `Option`, or explicitly none |
    /// | `system = "redb"`, `system = expr` | `db.system.name`; required with `percolate_otel`, `rocksdb` with `percolate_core` |
    /// | `namespace`, `server_address` | `db.namespace`, `server.address` |
    /// | `rows`, `affected_rows`, `batch_size` | counts: an expression at entry, or a closure over the returned value; `rows = stream`, `rows = none` |
    /// | `query_text = expr`, `query_text = raw(expr)` | `db.query.text`: without its literals, or as it is |
    /// | `query_summary` | `db.query.summary`, instead of the summary of the text |
    /// | `error_type = path` | `error.type`, instead of the name from the error's type |
    /// | `fields(a.b = expr)` | attributes of your own |
    /// | `name`, `kind`, `level`, `parent` | name, kind, level and parent of the span |
    /// | `slow = "5ms"` | the duration from which an unsampled call is reported |
    /// | `metrics = off` | no metrics |
    /// | `leaf` | the body creates no spans |
    /// | `future = returned` | the call ends when the function returns its future |
    /// | `crate = path` | the path of percolate_otel or percolate_core |
    ///
    /// Operations: `get`, `put`, `delete`, `scan`, `batch_write`, `multi_get`, `merge`,
    /// `delete_range`, `query`, `search`, `flush`, `flush_wal`, `compact`, `checkpoint`.
    ///
    /// Functions of every kind can be annotated: `async` and generic functions, methods, and
    /// functions that return futures, iterators or streams. Rows and errors are read from the
    /// returned value. The manual, `docs/macros.md`, has a section with an example for each key.
    db_op, core_db_op => annotate(Db)
}

attribute! {
    /// Records each call of a function as one run of a background job: always in the metrics, and
    /// as a span if it is sampled.
    ///
    /// `#[background_job(job.type, parameter, key = value, …)]`
    ///
    /// | Position or key | Sets |
    /// |---|---|
    /// | first: a job type known by name, or a string literal of dotted words | `job.type` |
    /// | second: the parameter that is the target, or a string literal | `job.target` |
    /// | `target = expr`, `target? = expr`, `target = none` | the same, from an expression or an `Option`, or explicitly none |
    /// | `type = expr` | `job.type`, decided at run time; the first position names the call site |
    /// | `batch_size` | `job.batch_size`: an expression at entry, or a closure over the returned value |
    /// | `error_type`, `fields`, `name`, `kind`, `level`, `parent`, `slow`, `metrics`, `leaf`, `future`, `crate` | as in `#[db_op]` |
    ///
    /// Job types: `index.build`, `index.save`, `index.load`, `index.field.rebuild`,
    /// `index.key.rebuild`, `embedding.generate`, `wal.flush`, `db.compact`.
    ///
    /// `job.status` is `success` or `failed`, or the status that the returned value reports with
    /// `JobOutcome`: `partial` or `cancelled`. A job whose future is dropped is `cancelled` too.
    background_job, core_background_job => annotate(Job)
}

attribute! {
    /// Sets defaults for the `#[db_op]` methods of an `impl` block or trait:
    /// `#[db_ops(key = value, …)]`.
    ///
    /// A key of the method overrides the default; `key = none` removes it.
    db_ops, core_db_ops => add_defaults(Db)
}

attribute! {
    /// Sets defaults for the `#[background_job]` methods of an `impl` block or trait:
    /// `#[background_jobs(key = value, …)]`.
    ///
    /// A key of the method overrides the default; `key = none` removes it.
    background_jobs, core_background_jobs => add_defaults(Job)
}

/// Calls the macro `callback` with the table of operations. Not for users: percolate-otel declares
/// `DbOperation` and the lists of its conventions from the rows.
#[doc(hidden)]
#[proc_macro]
pub fn operations(callback: proc_macro::TokenStream) -> proc_macro::TokenStream {
    operations::operations(&callback.into()).into()
}

/// Calls the macro `callback` with the table of job types. Not for users: percolate-otel declares
/// `BackgroundJobType` from the rows.
#[doc(hidden)]
#[proc_macro]
pub fn job_types(callback: proc_macro::TokenStream) -> proc_macro::TokenStream {
    operations::job_types(&callback.into()).into()
}

fn annotate(
    annotation: Annotation,
    home: Home,
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    annotated(annotation, home, arguments, &item).unwrap_or_else(|error| {
        let (errors, item) = (errors::compile_errors(&error), body::of_failed(item));
        quote!(#errors #item)
    })
}

fn annotated(
    annotation: Annotation,
    home: Home,
    arguments: TokenStream,
    item: &TokenStream,
) -> syn::Result<TokenStream> {
    let function = item::Function::parse(annotation.attribute(), item)?;
    let mut returns = item::Returns::of(&function.sig);
    let mut errors = Errors::default();
    let args = Args::parse(annotation, arguments, &function.parameters(), &mut errors)?;
    validate::check(&args, &function, &returns, &mut errors);
    if args.keys.future_returned {
        returns = returns.into_value(&function.sig);
    }
    let mut custom: Vec<_> = args
        .keys
        .fields
        .iter()
        .map(|field| field.name.clone())
        .collect();
    let rewritten = body::rewrite(
        function.body.to_token_stream(),
        &expand::site_name(),
        &custom,
        &mut errors,
    );
    custom.extend(rewritten.attributes);
    if errors.is_empty() {
        validate::system_is_given(home, &args, &mut errors);
    }
    let annotated = expand::Annotated {
        home,
        args,
        function,
        returns,
        body: rewritten.tokens,
        custom,
        recorded: rewritten.recorded,
    };
    errors.none_or(|| expand::expand(&annotated))
}

fn add_defaults(
    annotation: Annotation,
    _: Home,
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    defaults::apply(annotation, arguments, &item).unwrap_or_else(|error| {
        let item = defaults::without_consequences(annotation, item);
        let (errors, item) = (errors::compile_errors(&error), body::of_failed(item));
        quote!(#errors #item)
    })
}
