//! The rules that an annotation and its function must keep together. Each rule is one guard clause
//! with one error, on the wrong token.

use quote::ToTokens;
use syn::Error;

use crate::args::{Args, Count, Parent, Rows, System, Target, unknown_parent, word_of};
use crate::body::leaving_token;
use crate::errors::Errors;
use crate::expand::Home;
use crate::item::{Function, Returns, Shape};
use crate::nearest::expected_one_of;
use crate::operations::needs_collection;
use crate::vocabulary::Annotation;

/// Checks the annotation against the function under it.
pub(crate) fn check(args: &Args, function: &Function, returns: &Returns, errors: &mut Errors) {
    no_const_fn(args.annotation, function, errors);
    annotated_once(args.annotation, function, errors);
    target_is_a_parameter(args, function, errors);
    collection_is_given(args, errors);
    parent_is_known(args, function, errors);
    system_is_no_bare_word(args, function, errors);
    stream_is_returned(args, function, returns, errors);
    future_is_returned(args, function, returns, errors);
    caller_is_tracked(function, returns, errors);
}

fn no_const_fn(annotation: Annotation, function: &Function, errors: &mut Errors) {
    if let Some(token) = &function.sig.constness {
        errors.at(
            token,
            format!(
                "a `const fn` cannot be annotated with `{}`: telemetry is not constant; remove `const`",
                annotation.attribute()
            ),
        );
    }
}

fn annotated_once(annotation: Annotation, function: &Function, errors: &mut Errors) {
    for attribute in &function.attrs {
        let path = attribute.path();
        let Some(last) = path.segments.last() else {
            continue;
        };
        if last.ident == "db_op" || last.ident == "background_job" {
            errors.at(
                path,
                format!(
                    "this function has `{}` already: a function is one operation or one job",
                    annotation.attribute()
                ),
            );
        }
    }
}

fn target_is_a_parameter(args: &Args, function: &Function, errors: &mut Errors) {
    let Some(Target::Parameter(name)) = &args.target else {
        return;
    };
    let parameters = function.parameters();
    if parameters.contains(name) {
        return;
    }
    let key = args.annotation.target_key().name();
    let names: Vec<String> = parameters.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let given = name.to_string();
    let function = &function.sig.ident;
    let choices = if names.is_empty() {
        "it has no parameters".to_owned()
    } else {
        expected_one_of(&given, &names)
    };
    let instead = match given.as_str() {
        "none" => format!("for no {key} write `{key} = none`"),
        _ => format!("for any other expression write `{key} = {given}`"),
    };
    errors.push(Error::new(
        name.span(),
        format!("`{given}` is not a parameter of `{function}`; {choices}; {instead}"),
    ));
}

fn collection_is_given(args: &Args, errors: &mut Errors) {
    let operation = args.name.value();
    if args.target.is_none() && args.annotation == Annotation::Db && needs_collection(&operation) {
        errors.push(Error::new(
            args.name.span(),
            format!(
                "`{operation}` needs a collection: write the parameter, as in \
                 `#[db_op({operation}, cf)]`, or `collection = …`, or `collection = none`"
            ),
        ));
    }
}

/// Checks that an operation names its database system, if the macro is not that of percolate's own
/// database. It is checked last: an annotation with other mistakes is often not finished.
pub(crate) fn system_is_given(home: Home, args: &Args, errors: &mut Errors) {
    let is_database = matches!(home, Home::Core);
    if is_database || args.annotation == Annotation::Job || args.keys.system.is_some() {
        return;
    }
    errors.push(Error::new(
        args.name.span(),
        "the database system is missing: write `system = \"redb\"` with the name of yours here, or \
         once on the `impl` block: `#[db_ops(system = \"redb\")]`",
    ));
}

fn parent_is_known(args: &Args, function: &Function, errors: &mut Errors) {
    let Some(Parent::AtEntry(value)) = &args.keys.parent else {
        return;
    };
    let is_unknown = word_of(value).is_some_and(|word| !function.parameters().contains(word));
    if let Some(error) = unknown_parent(value).filter(|_| is_unknown) {
        errors.push(error);
    }
}

/// A constant is upper-case, so a lower-case word is the name of a system without its quotes.
fn system_is_no_bare_word(args: &Args, function: &Function, errors: &mut Errors) {
    let Some(System::AtEntry(value)) = &args.keys.system else {
        return;
    };
    let Some(word) = word_of(value) else {
        return;
    };
    let name = word.to_string();
    let is_variable = name == "self" || function.parameters().contains(word);
    if !is_variable && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        let message = format!(
            "`{name}` is not a parameter of `{}`; write the name of a database system as a string \
             literal: `system = \"{name}\"`",
            function.sig.ident
        );
        errors.at(value, message);
    }
}

fn stream_is_returned(args: &Args, function: &Function, returns: &Returns, errors: &mut Errors) {
    let Some(Rows::Stream(stream)) = &args.keys.rows else {
        return;
    };
    if returns.stream().is_none() {
        errors.push(Error::new(
            stream.span(),
            format!(
                "`rows = stream` counts rows while they are read: `{}` must return \
                 `impl Iterator`, `impl Stream`, `Box<dyn Iterator>`, `Pin<Box<dyn Stream>>`, or a \
                 `Result` of one of them",
                function.sig.ident
            ),
        ));
    }
    let message = "the rows of `rows = stream` are counted after the function returns";
    if let Some(Count::OfValue(closure)) = &args.keys.batch_size {
        errors.at(
            closure,
            format!("{message}; `batch_size` must be an integer at entry, not a closure"),
        );
    }
    let affected_rows: Option<&dyn ToTokens> = match &args.keys.affected_rows {
        Some(Count::OfValue(closure)) => Some(closure),
        Some(Count::AtEntry(value)) => Some(value),
        None => None,
    };
    if let Some(value) = affected_rows {
        errors.at(value, format!("{message}; remove `affected_rows`"));
    }
}

fn future_is_returned(args: &Args, function: &Function, returns: &Returns, errors: &mut Errors) {
    let is_future = match returns.shape {
        Shape::Sync => returns.may_be_future(),
        Shape::Async => false,
        Shape::Future | Shape::BoxFuture => true,
    };
    if args.keys.future_returned && !is_future {
        errors.push(Error::new(
            function.sig.ident.span(),
            format!(
                "`future = returned` is for a function that returns a future as its value, which \
                 `{}` does not",
                function.sig.ident
            ),
        ));
    }
}

/// `#[track_caller]` is kept if the body is not in a closure, which must be able to leave alone.
fn caller_is_tracked(function: &Function, returns: &Returns, errors: &mut Errors) {
    let Some(attribute) = function.track_caller() else {
        return;
    };
    if returns.shape != Shape::Sync {
        errors.at(
            attribute,
            "`#[track_caller]` has no effect on an annotated function that returns a future; remove \
             it",
        );
    } else if let Some(token) = leaving_token(function.body.stream()) {
        let message = format!(
            "the body of an annotated function with `#[track_caller]` must not leave it early, and \
             `{token}` may; move the body into another function with `#[track_caller]`, and call it"
        );
        errors.at(token, message);
    }
}
