//! The arguments of an annotation: tokens to a typed struct. What they mean for the item is checked in `validate.rs`;
//! the words themselves are in `vocabulary.rs`.
//!
//! Every mistake is gathered: one error each, on the token that is wrong.

mod values;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, ExprLit, Ident, Lit, LitStr, Path, Result, Token};

use crate::vocabulary::{self as words, Annotation};
use values::{
    choice, count, duration, example_of, is_single_word, is_word, level, string, text, unless_none,
};

/// What an annotation says.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) annotation: Annotation,
    /// The operation or the job type.
    pub(crate) name: LitStr,
    pub(crate) target: Option<Target>,
    pub(crate) keys: Keys,
}

/// The arguments `key = value`.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) span_name: Option<LitStr>,
    pub(crate) namespace: Option<Expr>,
    pub(crate) server_address: Option<Expr>,
    pub(crate) system: Option<LitStr>,
    /// `Client` or `Internal`.
    pub(crate) kind: Option<Ident>,
    /// `INFO`, …
    pub(crate) level: Option<Ident>,
    pub(crate) fields: Vec<Field>,
    pub(crate) rows: Option<Rows>,
    pub(crate) affected_rows: Option<Count>,
    pub(crate) batch_size: Option<Count>,
    pub(crate) query_text: Option<Expr>,
    pub(crate) query_summary: Option<Expr>,
    pub(crate) error_type: Option<Expr>,
    /// In nanoseconds.
    pub(crate) slow: Option<u64>,
    /// `Child`, `Link` or `Root`.
    pub(crate) parent: Option<Ident>,
    pub(crate) metrics_off: bool,
    pub(crate) leaf: bool,
    pub(crate) crate_path: Option<Path>,
    /// Every key that was given, in order.
    pub(crate) given: Vec<Ident>,
}

/// The collection of an operation, the target of a job.
#[derive(Debug)]
pub(crate) enum Target {
    /// Second position: a parameter.
    Parameter(Ident),
    /// `collection = expr`, or a string literal in second position.
    Given(Expr),
    /// `collection? = expr`: an `Option`.
    Optional(Expr),
    /// `collection = none`
    None,
}

/// `rows = …`
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "how large depends on the features of `proc-macro2`; there are never many"
)]
pub(crate) enum Rows {
    /// `stream`: of this token.
    Stream(Ident),
    /// `none`
    None,
    Count(Count),
}

/// A number of rows or items.
#[derive(Debug)]
pub(crate) enum Count {
    /// An expression: known at entry.
    AtEntry(Expr),
    /// A closure over the value the function returned.
    OfValue(ExprClosure),
}

/// `name = expr` in `fields(…)`.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: LitStr,
    pub(crate) value: Expr,
}

impl Args {
    /// Reads the arguments of `#[db_op(…)]` or `#[background_job(…)]`. `parameters` are the names that the item's
    /// parameters bind; they tell a second position from a flag.
    ///
    /// What could not be read is pushed to `errors` and left out, so that the rest can be checked all the same.
    pub(crate) fn parse(
        annotation: Annotation,
        tokens: TokenStream,
        parameters: &[Ident],
        errors: &mut Errors,
    ) -> Result<Self> {
        let read = |input: ParseStream<'_>| {
            let first = first_position(annotation, input, errors);
            let mut reader = Reader {
                annotation,
                keys: Keys::default(),
                target: None,
                errors: &mut *errors,
            };
            if first.needs_comma {
                comma(input, reader.errors);
            }
            if first.has_position && !input.is_empty() && !starts_with_key(input, parameters) {
                reader.second_position(input);
                comma(input, reader.errors);
            }
            each(input, &mut reader, Reader::argument);
            let Reader { keys, target, .. } = reader;
            Ok((first, keys, target))
        };
        let (first, keys, target) = read.parse2(tokens)?;
        Ok(Self {
            annotation,
            name: first.name,
            target,
            keys,
        })
    }

    /// Reads the arguments of `#[db_ops(…)]` or `#[background_jobs(…)]`: keys only.
    /// Each is given as it was written.
    pub(crate) fn parse_defaults(
        annotation: Annotation,
        tokens: TokenStream,
    ) -> Result<Vec<(Ident, TokenStream)>> {
        let mut errors = Errors::default();
        let mut defaults = Vec::new();
        let read = |input: ParseStream<'_>| {
            let mut reader = Reader {
                annotation,
                keys: Keys::default(),
                target: None,
                errors: &mut errors,
            };
            while !input.is_empty() {
                let start = input.fork();
                match reader.argument(input) {
                    Ok(()) => {
                        defaults.extend(
                            reader
                                .keys
                                .given
                                .last()
                                .cloned()
                                .map(|key| (key, consumed(&start, input))),
                        );
                    }
                    Err(error) => {
                        reader.errors.push(error);
                        skip_argument(input);
                    }
                }
                comma(input, reader.errors);
            }
            Ok(())
        };
        read.parse2(tokens)?;
        errors.none_or(|| defaults)
    }
}

/// Mistakes gathered so far.
#[derive(Debug, Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    /// `value`, unless there were mistakes.
    pub(crate) fn none_or<T>(self, value: impl FnOnce() -> T) -> Result<T> {
        self.0.map_or_else(|| Ok(value()), Err)
    }
}

/// Takes what is left up to the next comma, so that the next argument can be read after a mistake.
fn skip_argument(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// The tokens that were read since `start`.
fn consumed(start: ParseStream<'_>, now: ParseStream<'_>) -> TokenStream {
    let count = |at: ParseStream<'_>| at.cursor().token_stream().into_iter().count();
    let left = start.cursor().token_stream().into_iter();
    left.take(count(start).saturating_sub(count(now))).collect()
}

/// A comma, if anything follows.
fn comma(input: ParseStream<'_>, errors: &mut Errors) {
    if input.is_empty() {
        return;
    }
    if !input.peek(Token![,]) {
        errors.push(input.error("expected `,` between arguments"));
        skip_argument(input);
    }
    // Only a comma or the end is left here.
    let _: Result<Token![,]> = input.parse();
}

/// Reads arguments to the end, whatever goes wrong on the way.
fn each<'e>(
    input: ParseStream<'_>,
    reader: &mut Reader<'e>,
    argument: impl Fn(&mut Reader<'e>, ParseStream<'_>) -> Result<()>,
) {
    while !input.is_empty() {
        if let Err(error) = argument(reader, input) {
            reader.errors.push(error);
            skip_argument(input);
        }
        comma(input, reader.errors);
    }
}

/// Whether a key follows: `key = …`, `key? = …`, `key(…)`, or a flag that is no parameter.
fn starts_with_key(input: ParseStream<'_>, parameters: &[Ident]) -> bool {
    if !input.peek(Ident::peek_any) {
        return false;
    }
    let ahead = input.fork();
    let Ok(key) = ahead.call(Ident::parse_any) else {
        return false;
    };
    (ahead.peek(Token![=]) && !ahead.peek(Token![==]))
        || ahead.peek(Token![?])
        || (key == "fields" && ahead.peek(syn::token::Paren))
        || (is_flag(&key)
            && (ahead.is_empty() || ahead.peek(Token![,]))
            && !parameters.contains(&key))
}

/// Words that stand alone, those of `#[instrument]` included.
fn is_flag(key: &Ident) -> bool {
    ["leaf", "skip_all", "err", "ret"]
        .iter()
        .any(|flag| key == flag)
}

/// The operation or job type.
struct First {
    name: LitStr,
    /// Something was there, so a comma follows.
    needs_comma: bool,
    /// A second position may follow.
    has_position: bool,
}

fn first_position(annotation: Annotation, input: ParseStream<'_>, errors: &mut Errors) -> First {
    let missing = First {
        name: LitStr::new("", Span::call_site()),
        needs_comma: false,
        has_position: false,
    };
    let noun = annotation.name_noun();
    let example = match annotation {
        Annotation::Db => "#[db_op(get, cf)]",
        Annotation::Job => "#[background_job(index.build)]",
    };
    let choices = words::list(&annotation.known_names());
    let wants = format!(
        "`{}` wants {} {noun} first, as in `{example}`; one of {choices}, or a string literal",
        annotation.attribute(),
        if noun.starts_with('o') { "an" } else { "a" }
    );
    if input.is_empty() {
        errors.push(Error::new(Span::call_site(), wants));
        return missing;
    }
    if starts_with_key(input, &[]) {
        errors.push(Error::new(input.span(), wants));
        return missing;
    }
    if let Ok(literal) = input.parse::<LitStr>() {
        if let Some(message) = annotation.misformed_name(&literal.value()) {
            errors.at(&literal, message);
        }
        return First {
            name: literal,
            needs_comma: true,
            has_position: true,
        };
    }
    if !input.peek(Ident::peek_any) {
        errors.push(Error::new(input.span(), wants));
        skip_argument(input);
        return First {
            needs_comma: true,
            has_position: true,
            ..missing
        };
    }
    let name: Name = match input.parse() {
        Ok(name) => name,
        Err(error) => {
            errors.push(error);
            skip_argument(input);
            return First {
                needs_comma: true,
                has_position: true,
                ..missing
            };
        }
    };
    let value = name.value();
    let other = annotation.other();
    if annotation.known_names().contains(&value.as_str()) {
        // Known.
    } else if other.known_names().contains(&value.as_str()) {
        let attribute = other.attribute().trim_end_matches(']');
        let what = match other {
            Annotation::Db => "an operation",
            Annotation::Job => "a job type",
        };
        errors.at(
            &name,
            format!("`{value}` is {what} of `{attribute}]`; write `{attribute}({value})]`"),
        );
    } else {
        errors.at(
            &name,
            format!(
                "unknown {noun} `{value}`; {}; another {noun} is a string literal",
                words::expected_one_of(&value, &annotation.known_names())
            ),
        );
    }
    let name = name.literal;
    First {
        name,
        needs_comma: true,
        has_position: true,
    }
}

/// A name made of words and dots, or a string literal.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) literal: LitStr,
    /// As it was written, so that an error marks the whole.
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
            return Ok(Self {
                tokens: literal.to_token_stream(),
                literal,
            });
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
        Ok(Self {
            literal: LitStr::new(&name, tokens.span()),
            tokens,
        })
    }
}

/// Reads one argument after the other into [`Keys`].
struct Reader<'e> {
    annotation: Annotation,
    keys: Keys,
    target: Option<Target>,
    errors: &'e mut Errors,
}

impl Reader<'_> {
    /// What stands between the name and the first key.
    fn second_position(&mut self, input: ParseStream<'_>) {
        let key = self.annotation.target_key();
        let start = input.fork();
        match input.parse::<Expr>() {
            Ok(Expr::Path(path)) if path.attrs.is_empty() && path.path.get_ident().is_some() => {
                self.target = path.path.get_ident().cloned().map(Target::Parameter);
            }
            Ok(
                value @ Expr::Lit(ExprLit {
                    lit: Lit::Str(_), ..
                }),
            ) => self.target = Some(Target::Given(value)),
            Ok(other) => {
                self.errors.at(
                    &other,
                    format!("the second position is a parameter's name or a string literal; write `{key} = …` for an expression"),
                );
                self.target = Some(Target::None);
            }
            Err(_) => {
                self.errors.push(start.error(format!(
                    "expected the parameter that is the {key}, or `key = value`"
                )));
                skip_argument(input);
                self.target = Some(Target::None);
            }
        }
    }

    fn argument(&mut self, input: ParseStream<'_>) -> Result<()> {
        if !input.peek(Ident::peek_any)
            || !starts_with_key(input, &[]) && !self.is_known_word(input)
        {
            let start = input.fork();
            skip_argument(input);
            let given = consumed(&start, input);
            let keys = self.annotation.keys();
            let message = format!(
                "unexpected argument; what is not in first or second position is `key = value` with one of {}{}",
                words::list(&keys),
                words::did_you_mean(&given.to_string(), &keys)
            );
            return Err(Error::new_spanned(given, message));
        }
        let key = input.call(Ident::parse_any)?;
        let name = key.to_string();
        let optional = if input.peek(Token![?]) {
            Some(input.parse::<Token![?]>()?)
        } else {
            None
        };
        if let Some(mark) = &optional
            && name != self.annotation.target_key()
        {
            self.errors.at(
                mark,
                format!(
                    "only `{}` takes `?`: `{name}` takes an `Option` as it is",
                    self.annotation.target_key()
                ),
            );
        }
        if !self.annotation.keys().contains(&name.as_str()) {
            let error = Error::new(key.span(), self.unknown_key(&name));
            skip_value(input);
            return Err(error);
        }
        if self.keys.given.contains(&key) {
            let error = Error::new(key.span(), format!("`{name}` is given twice"));
            skip_value(input);
            return Err(error);
        }
        if name == self.annotation.target_key() && self.target.is_some() {
            let error = Error::new(
                key.span(),
                format!(
                    "the {name} is given twice: it stands in second position already, remove one of the two"
                ),
            );
            skip_value(input);
            return Err(error);
        }
        self.keys.given.push(key.clone());
        self.value(&key, optional.is_some(), input)
    }

    /// Whether a word follows that is a key here, in the other annotation or in `#[instrument]`, in whatever form.
    fn is_known_word(&self, input: ParseStream<'_>) -> bool {
        let Ok(key) = input.fork().call(Ident::parse_any) else {
            return false;
        };
        let key = key.to_string();
        self.annotation.keys().contains(&key.as_str())
            || self.annotation.other().keys().contains(&key.as_str())
            || words::instead_of_instrument_key(self.annotation, &key).is_some()
    }

    fn unknown_key(&self, name: &str) -> String {
        let annotation = self.annotation;
        let other = annotation.other();
        if let Some(instead) = words::instead_of_instrument_key(annotation, name) {
            return format!("`{name}` is not taken: {instead}");
        }
        if name == other.target_key() {
            return format!(
                "`{name}` belongs to `{}`; a job names what it works on by `target = …`",
                other.attribute()
            );
        }
        if other.keys().contains(&name) {
            return format!(
                "`{name}` belongs to `{}`; {}",
                other.attribute(),
                words::expected_one_of(name, &annotation.keys())
            );
        }
        format!(
            "unknown argument `{name}`; {}",
            words::expected_one_of(name, &annotation.keys())
        )
    }

    fn value(&mut self, key: &Ident, optional: bool, input: ParseStream<'_>) -> Result<()> {
        let name = key.to_string();
        match name.as_str() {
            "leaf" => {
                self.keys.leaf = true;
                if !input.is_empty() && !input.peek(Token![,]) {
                    let error = input.error(
                        "`leaf` takes no value: it says that the body makes no spans of its own",
                    );
                    return Err(error);
                }
                return Ok(());
            }
            "fields" => return self.fields(key, input),
            _ => {}
        }
        if !input.peek(Token![=]) {
            return Err(Error::new(
                key.span(),
                format!("`{name}` wants a value: `{name} = {}`", example_of(&name)),
            ));
        }
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(Error::new(
                key.span(),
                format!("`{name}` wants a value: `{name} = {}`", example_of(&name)),
            ));
        }
        if name == "crate" {
            if input.peek(LitStr) {
                let literal: LitStr = input.parse()?;
                return Err(Error::new_spanned(
                    &literal,
                    format!(
                        "`crate` takes a path without quotes: `crate = {}`",
                        literal.value()
                    ),
                ));
            }
            self.keys.crate_path = Some(input.call(Path::parse_mod_style).map_err(|error| {
                Error::new(
                    error.span(),
                    "`crate` takes the path of percolate_otel or percolate_core in your crate, such as `crate = ::telemetry`",
                )
            })?);
            return Ok(());
        }
        let value: Expr = input.parse()?;
        self.take(&name, optional, value)
    }

    /// Judges a value that was read.
    fn take(&mut self, name: &str, optional: bool, value: Expr) -> Result<()> {
        let keys = &mut self.keys;
        match name {
            "collection" | "target" => {
                self.target = Some(match (optional, is_word(&value, "none")) {
                    (false, true) => Target::None,
                    (true, true) => {
                        return Err(Error::new_spanned(
                            &value,
                            format!(
                                "`{name}? = …` takes an `Option`; without a {name} write `{name} = none`"
                            ),
                        ));
                    }
                    (true, false) => Target::Optional(text(name, value)?),
                    (false, false) => Target::Given(text(name, value)?),
                });
            }
            "namespace" => {
                keys.namespace = unless_none(value)
                    .map(|value| text(name, value))
                    .transpose()?
            }
            "server_address" => {
                keys.server_address = unless_none(value)
                    .map(|value| text(name, value))
                    .transpose()?
            }
            "query_text" => keys.query_text = Some(text(name, value)?),
            "query_summary" => keys.query_summary = Some(text(name, value)?),
            "name" => {
                let literal = string(&value).filter(|literal| !literal.value().trim().is_empty());
                keys.span_name = Some(literal.ok_or_else(|| {
                    Error::new_spanned(
                        &value,
                        "`name` takes a string literal that is not empty: the name of a span is fixed, what varies are its attributes",
                    )
                })?);
            }
            "system" => {
                let is_system = |literal: &LitStr| {
                    let value = literal.value();
                    value.starts_with(|c: char| c.is_ascii_lowercase())
                        && value.chars().all(|c| {
                            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.')
                        })
                };
                keys.system = Some(string(&value).filter(is_system).ok_or_else(|| {
                    Error::new_spanned(
                        &value,
                        "`system` takes the name of the database as a lower-case string literal, such as \"redb\"",
                    )
                })?);
            }
            "kind" => {
                keys.kind = Some(choice(
                    &value,
                    name,
                    &[("client", "Client"), ("internal", "Internal")],
                )?)
            }
            "parent" => {
                let choices = [("child", "Child"), ("link", "Link"), ("root", "Root")];
                keys.parent = Some(choice(&value, name, &choices).map_err(|error| if is_single_word(&value) { error } else { Error::new_spanned(
                    &value,
                    "`parent` takes one of `child`, `link`, `root`; a span of yours becomes the parent by being entered",
                ) })?);
            }
            "metrics" => {
                let on = choice(&value, name, &[("off", "off"), ("on", "on")])?;
                keys.metrics_off = on == "off";
            }
            "level" => keys.level = Some(level(&value)?),
            "slow" => keys.slow = Some(duration(&value)?),
            "rows" => {
                keys.rows = Some(match &value {
                    Expr::Path(path) if path.path.is_ident("stream") => Rows::Stream(
                        path.path
                            .get_ident()
                            .cloned()
                            .unwrap_or_else(|| Ident::new("stream", value.span())),
                    ),
                    _ if is_word(&value, "none") => Rows::None,
                    _ => Rows::Count(count(name, value)?),
                });
            }
            "affected_rows" => keys.affected_rows = Some(count(name, value)?),
            "batch_size" => keys.batch_size = Some(count(name, value)?),
            "error_type" => match value {
                Expr::Path(_) | Expr::Closure(_) => keys.error_type = Some(value),
                _ => {
                    return Err(Error::new_spanned(
                        &value,
                        "`error_type` takes a function from the error to its name: `error_type = MyError::kind` or `error_type = |e| …`",
                    ));
                }
            },
            _ => {
                return Err(Error::new_spanned(
                    &value,
                    format!("unknown argument `{name}`"),
                ));
            }
        }
        Ok(())
    }

    fn fields(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        if !input.peek(syn::token::Paren) {
            skip_value(input);
            return Err(Error::new(
                key.span(),
                "`fields` is written with parentheses: `fields(app.tenant = tenant)`",
            ));
        }
        let content;
        syn::parenthesized!(content in input);
        each(&content, self, Self::field);
        Ok(())
    }

    fn field(&mut self, input: ParseStream<'_>) -> Result<()> {
        if let Some(sigil) = sigil(input) {
            skip_argument(input);
            return Err(sigil);
        }
        let name: Name = input.parse().map_err(|error: Error| {
            Error::new(
                error.span(),
                "expected an attribute's name, such as `app.tenant`, and `= value`",
            )
        })?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            if let Some(sigil) = sigil(input) {
                skip_argument(input);
                return Err(sigil);
            }
            input.parse::<Expr>()?
        } else if is_plain_identifier(&name.value()) {
            let variable = Ident::new(&name.value(), name.literal.span());
            syn::parse_quote!(#variable)
        } else {
            return Err(Error::new_spanned(
                &name,
                format!(
                    "`{0}` wants a value: `{0} = …`; an attribute that is known later is added by `record!({0} = …)` in the body",
                    name.value()
                ),
            ));
        };
        check_attribute(&name)?;
        if self
            .keys
            .fields
            .iter()
            .any(|field| field.name.value() == name.value())
        {
            return Err(Error::new_spanned(
                &name,
                format!("the attribute `{}` is given twice", name.value()),
            ));
        }
        self.keys.fields.push(Field {
            name: name.literal,
            value,
        });
        Ok(())
    }
}

/// Whether a name may be declared by an annotation.
pub(crate) fn check_attribute(name: &Name) -> Result<()> {
    let value = name.value();
    if let Some(instead) = words::reserved_attribute(&value) {
        return Err(Error::new_spanned(
            name,
            format!("`{value}` is recorded by {instead}, not as an attribute of your own"),
        ));
    }
    if !words::is_attribute_name(&value) {
        return Err(Error::new_spanned(
            name,
            format!(
                "`{value}` is no attribute name; expected lower_snake words joined by dots, such as `app.tenant_id`"
            ),
        ));
    }
    Ok(())
}

fn is_plain_identifier(name: &str) -> bool {
    !name.contains('.') && syn::parse_str::<Ident>(name).is_ok()
}

/// `%x` and `?x` of `tracing`.
fn sigil(input: ParseStream<'_>) -> Option<Error> {
    (input.peek(Token![%]) || input.peek(Token![?])).then(|| {
        input.error("attributes keep their type, `%` and `?` are not taken; write `name = value`, or `name = value.to_string()`")
    })
}

fn skip_value(input: ParseStream<'_>) {
    if input.peek(Token![=]) && input.parse::<Token![=]>().is_ok() {
        // An expression may have commas of its own.
        let ahead = input.fork();
        if ahead.parse::<Expr>().is_ok() {
            let _: Result<Expr> = input.parse();
        }
    }
    skip_argument(input);
}

/// The attributes that `record!(key = value, …)` adds.
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

#[cfg(test)]
mod tests;
