use proc_macro2::Span;
use quote::ToTokens as _;
use quote::quote;
use syn::{Error, parse_quote};

use super::values::duration;
use super::*;

fn read(annotation: Annotation, tokens: TokenStream) -> Result<Args> {
    let parameters: [Ident; 2] = [parse_quote!(cf), parse_quote!(leaf)];
    let mut errors = Errors::default();
    let args = Args::parse(annotation, tokens, &parameters, &mut errors)?;
    errors.none_or(|| args)
}

/// Returns the messages of all mistakes.
fn wrong(annotation: Annotation, tokens: TokenStream) -> Vec<String> {
    let error = read(annotation, tokens).expect_err("a mistake");
    error.into_iter().map(|error| error.to_string()).collect()
}

#[test]
fn every_key_of_an_operation_is_read() {
    let args = read(
        Annotation::Db,
        quote!(
            "range_delete",
            collection? = self.cf(),
            namespace = ns,
            server_address = "/data",
            system = "redb",
            kind = internal,
            level = Level::DEBUG,
            name = "drop",
            fields(a.b = 1, "c.d" = x, limit),
            rows = |out| out.len(),
            affected_rows = n,
            batch_size = |b| *b,
            query_text = sql,
            query_summary = "s",
            error_type = Error::kind,
            slow = "5ms",
            parent = link,
            metrics = off,
            leaf,
            crate = crate::telemetry,
        ),
    )
    .expect("valid arguments");
    let Keys {
        namespace,
        server_address,
        system,
        kind,
        level,
        span_name,
        fields,
        ..
    } = &args.keys;
    assert_eq!(args.name.value(), "range_delete");
    assert!(
        matches!(&args.target, Some(Target::Optional(value)) if *value == parse_quote!(self.cf()))
    );
    assert_eq!(*namespace, Some(parse_quote!(ns)));
    assert_eq!(*server_address, Some(parse_quote!("/data")));
    assert!(matches!(system, Some(System::Literal(name)) if name.value() == "redb"));
    assert_eq!(*kind, Some(parse_quote!(Internal)));
    assert_eq!(*level, Some(parse_quote!(DEBUG)));
    assert_eq!(*span_name, Some(parse_quote!("drop")));
    let names: Vec<_> = fields.iter().map(|field| field.name.value()).collect();
    assert_eq!(names, ["a.b", "c.d", "limit"]);
    assert_eq!(fields[2].value, parse_quote!(limit));
    let Keys {
        rows,
        affected_rows,
        batch_size,
        query_text,
        query_summary,
        ..
    } = &args.keys;
    assert!(matches!(rows, Some(Rows::Count(Count::OfValue(_)))));
    assert!(matches!(affected_rows, Some(Count::AtEntry(value)) if *value == parse_quote!(n)));
    assert!(matches!(batch_size, Some(Count::OfValue(_))));
    assert!(matches!(query_text, Some(QueryText::Sanitized(value)) if *value == parse_quote!(sql)));
    assert_eq!(*query_summary, Some(parse_quote!("s")));
    let Keys {
        error_type,
        slow,
        parent,
        metrics_off,
        leaf,
        crate_path,
        ..
    } = &args.keys;
    assert_eq!(*error_type, Some(parse_quote!(Error::kind)));
    assert_eq!(*slow, Some(5_000_000));
    assert!(matches!(parent, Some(Parent::Word(word)) if word == "Link"));
    assert!(*metrics_off && *leaf);
    assert_eq!(*crate_path, Some(parse_quote!(crate::telemetry)));
}

#[test]
fn a_raw_query_text_is_marked() {
    let keys = |tokens| read(Annotation::Db, tokens).map(|args| args.keys);
    let raw = keys(quote!(query, query_text = raw(self.sql()))).expect("valid arguments");
    assert!(
        matches!(raw.query_text, Some(QueryText::Raw(value)) if value == parse_quote!(self.sql()))
    );
    let other = keys(quote!(query, query_text = self.raw(sql))).expect("valid arguments");
    assert!(matches!(other.query_text, Some(QueryText::Sanitized(_))));
    for tokens in [quote!(raw()), quote!(raw(a, b))] {
        let error = keys(quote!(query, query_text = #tokens)).expect_err("a mistake");
        assert_eq!(
            error.to_string(),
            "`raw` needs one text: `query_text = raw(sql)`"
        );
    }
}

#[test]
fn a_system_is_a_valid_literal_or_an_expression() {
    let system = |tokens| {
        let args = read(Annotation::Db, quote!(flush, system = #tokens))?;
        Ok::<_, Error>(args.keys.system.expect("a system"))
    };
    let literal = system(quote!("ibm.db2")).expect("a valid literal");
    assert!(matches!(literal, System::Literal(name) if name.value() == "ibm.db2"));
    let expressions: [Expr; 4] = [
        parse_quote!(self.system()),
        parse_quote!(SYSTEM),
        parse_quote!(cf),
        parse_quote!(&*self.system),
    ];
    for expression in expressions {
        let read = system(expression.to_token_stream()).expect("a valid expression");
        assert!(matches!(read, System::AtEntry(value) if *value == expression));
    }
    for wrong in [quote!("RocksDB"), quote!(""), quote!(7), quote!(none)] {
        let error = system(wrong).expect_err("a mistake").to_string();
        assert!(
            error.starts_with("`system` must be the name of the database system as a lower-case"),
            "{error}"
        );
    }
    let error = system(quote!(|| "redb")).expect_err("a mistake");
    assert!(error.to_string().contains("not a closure"), "{error}");
}

#[test]
fn a_parameter_named_like_a_flag_is_the_second_position() {
    let target = |tokens| {
        read(Annotation::Db, tokens)
            .expect("valid arguments")
            .target
    };
    assert!(matches!(target(quote!(get, cf)), Some(Target::Parameter(name)) if name == "cf"));
    assert!(matches!(target(quote!(get, leaf)), Some(Target::Parameter(name)) if name == "leaf"));
    assert!(matches!(
        target(quote!(get, "articles")),
        Some(Target::Given(_))
    ));
    assert!(matches!(
        target(quote!(get, collection = none)),
        Some(Target::None)
    ));
    assert!(target(quote!(flush)).is_none());
}

#[test]
fn the_second_position_is_one_of_the_given_keys() {
    let given = |tokens| Args::given_keys(Annotation::Db, tokens);
    assert_eq!(
        given(quote!(get, cf, leaf, rows = |a, b| f::<A, B>(a))),
        [Key::Leaf, Key::Rows, Key::Collection]
    );
    assert_eq!(
        given(quote!(gte, fields(a = 1), kind = 3)),
        [Key::Fields, Key::Kind]
    );
}

#[test]
fn a_job_type_is_dotted() {
    let args = read(
        Annotation::Job,
        quote!(index.field.rebuild, target = schema),
    )
    .expect("valid arguments");
    assert_eq!(args.name.value(), "index.field.rebuild");
}

#[test]
fn every_mistake_is_reported_and_the_next_argument_is_read() {
    let messages = wrong(
        Annotation::Db,
        quote!(gte, cf, colour = f::<A, B>(1, 2), rows = stream, kind = 3, fields(A = 1, b = ?c), rows = 1, leaf = 2),
    );
    let starts: Vec<_> = messages
        .iter()
        .map(|message| message.split('`').nth(1).unwrap_or_default())
        .collect();
    assert_eq!(starts, ["gte", "colour", "kind", "A", "%", "rows", "leaf"]);
}

#[test]
fn defaults_keep_their_tokens() {
    let defaults = Args::parse_defaults(
        Annotation::Db,
        quote!(leaf, error_type = |e| f(e, 1), fields(a = 1),),
    );
    let defaults: Vec<_> = defaults
        .expect("valid arguments")
        .into_iter()
        .map(|(key, tokens)| (key.name(), tokens.to_string()))
        .collect();
    let expected = [
        ("leaf", quote!(leaf)),
        ("error_type", quote!(error_type = |e| f(e, 1))),
        ("fields", quote!(fields(a = 1))),
    ];
    let expected: Vec<_> = expected
        .map(|(key, tokens)| (key, tokens.to_string()))
        .into();
    assert_eq!(defaults, expected);
}

#[test]
fn durations_have_units() {
    let slow = |text: &str| {
        let literal = LitStr::new(text, Span::call_site());
        duration(&parse_quote!(#literal)).ok()
    };
    assert_eq!(slow("20us"), Some(20_000));
    assert_eq!(slow("2 s"), Some(2_000_000_000));
    for wrong in [
        "",
        "5",
        "ms",
        "0ms",
        "5 hours",
        "1.5s",
        "99999999999999999999s",
    ] {
        assert_eq!(slow(wrong), None, "{wrong}");
    }
}

#[test]
fn a_job_has_no_system() {
    let messages = wrong(Annotation::Job, quote!(index.build, system = self.system()));
    let [message] = &messages[..] else {
        panic!("{messages:?}");
    };
    assert!(
        message.starts_with("`system` is a key of `#[db_op"),
        "{message}"
    );
}
