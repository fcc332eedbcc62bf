//! What an annotation and its item must not say together. Each rule is one guard clause with one error, on the
//! token that is wrong.

use syn::Error;

use crate::args::{Args, Count, Errors, Rows, Target};
use crate::item::{Function, Returns};
use crate::operations::needs_collection;
use crate::vocabulary::{self as words, Annotation};

/// Checks the annotation against the function under it.
pub(crate) fn check(args: &Args, function: &Function, returns: &Returns, errors: &mut Errors) {
    no_const_fn(args.annotation, function, errors);
    annotated_once(args.annotation, function, errors);
    target_is_a_parameter(args, function, errors);
    collection_is_given(args, errors);
    stream_is_returned(args, function, returns, errors);
}

fn no_const_fn(annotation: Annotation, function: &Function, errors: &mut Errors) {
    if let Some(token) = &function.sig.constness {
        errors.at(
            token,
            format!(
                "a `const fn` cannot be annotated with `{}`: telemetry is no constant; remove `const`",
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
                    "`{}` is above this function already: a function is one operation or one job",
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
    let key = args.annotation.target_key();
    let names: Vec<String> = parameters.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let given = name.to_string();
    let what = if names.is_empty() {
        "it has none".to_owned()
    } else {
        words::expected_one_of(&given, &names)
    };
    let instead = match (args.annotation, given.as_str()) {
        (_, "none") => format!("; without a {key} write `{key} = none`"),
        _ => format!("; for anything else write `{key} = {given}`"),
    };
    errors.push(Error::new(
        name.span(),
        format!(
            "`{given}` is no parameter of `{}`; {what}{instead}",
            function.sig.ident
        ),
    ));
}

fn collection_is_given(args: &Args, errors: &mut Errors) {
    let operation = args.name.value();
    if args.target.is_none() && args.annotation == Annotation::Db && needs_collection(&operation) {
        errors.push(Error::new(
            args.name.span(),
            format!(
                "`{operation}` wants its collection: name the parameter, as in `#[db_op({operation}, cf)]`, or write \
                 `collection = …`, or `collection = none` where there is none"
            ),
        ));
    }
}

fn stream_is_returned(args: &Args, function: &Function, returns: &Returns, errors: &mut Errors) {
    let Some(Rows::Stream(stream)) = &args.keys.rows else {
        return;
    };
    if returns.stream().is_none() {
        let message = "`rows = stream` counts what is returned while it is read: the function must return `impl Iterator`, \
                       `impl Stream`, `Box<dyn Iterator>`, `Pin<Box<dyn Stream>>`, or a `Result` of one of them";
        errors.push(Error::new(
            stream.span(),
            format!("{message}; `{}` does not", function.sig.ident),
        ));
    }
    let not_with = |key: &str, token: &dyn quote::ToTokens, errors: &mut Errors| {
        errors.at(
            token,
            format!("`{key}` cannot be read from a value that `rows = stream` still counts: remove one of the two"),
        );
    };
    if let Some(Count::OfValue(closure)) = &args.keys.batch_size {
        not_with("batch_size", closure, errors);
    }
    match &args.keys.affected_rows {
        Some(Count::OfValue(closure)) => not_with("affected_rows", closure, errors),
        Some(Count::AtEntry(value)) => not_with("affected_rows", value, errors),
        None => {}
    }
}
