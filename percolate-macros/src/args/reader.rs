//! Reads the arguments `key = value` one after the other. Each key has an arm in [`Reader::value`];
//! what its value may be is in `values.rs`.

use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, Ident, Result, Token};

use super::cursor::{consumed, each, next_word, skip_argument, skip_value, starts_with_key};
use super::{Keys, Target, attribute, values};
use crate::errors::Errors;
use crate::key::Key;
use crate::nearest::{did_you_mean, expected_one_of, list, nearest};
use crate::vocabulary::{self as words, Annotation};

/// The arguments read so far.
pub(super) struct Reader {
    annotation: Annotation,
    pub(super) keys: Keys,
    pub(super) target: Option<Target>,
    /// The keys that were given, in order.
    pub(super) given: Vec<Key>,
}

impl Reader {
    pub(super) fn new(annotation: Annotation) -> Self {
        Self {
            annotation,
            keys: Keys::default(),
            target: None,
            given: Vec::new(),
        }
    }

    /// Reads one argument.
    pub(super) fn argument(&mut self, input: ParseStream<'_>, errors: &mut Errors) -> Result<()> {
        if !starts_with_key(input, &[]) && !self.is_known_word(input) {
            return Err(self.unexpected(input));
        }
        let word = input.call(Ident::parse_any)?;
        let mark = input.parse::<Option<Token![?]>>()?;
        let key = match self.key(&word) {
            Ok(key) => key,
            Err(error) => {
                skip_value(input);
                return Err(error);
            }
        };
        let target_key = self.annotation.target_key();
        if let Some(mark) = &mark
            && key != target_key
        {
            let (key, target_key) = (key.name(), target_key.name());
            let message = format!("only `{target_key}` supports `?`; write `{key} = …`");
            errors.at(mark, message);
        }
        self.given.push(key);
        let read = self.value(key, &word, mark.is_some(), input, errors);
        if read.is_err() && key == target_key {
            // It was given, so its absence is not a second mistake.
            self.target = Some(Target::None);
        }
        read
    }

    /// Returns the key with this name, if it may be given here.
    fn key(&mut self, word: &Ident) -> Result<Key> {
        let name = word.to_string();
        let target_key = self.annotation.target_key();
        let Some(key) = Key::named(self.annotation, &name) else {
            if nearest(&name, &Key::names_of(self.annotation)) == Some(target_key.name()) {
                self.target.get_or_insert(Target::None);
            }
            return Err(Error::new(word.span(), self.unknown_key(&name)));
        };
        if self.given.contains(&key) {
            return Err(Error::new(word.span(), format!("`{name}` is given twice")));
        }
        if key == target_key && self.target.is_some() {
            let message = format!(
                "the {name} is given twice: it is in the second position already; remove one of \
                 the two"
            );
            return Err(Error::new(word.span(), message));
        }
        Ok(key)
    }

    /// Returns whether a word follows that is a key of an annotation or of `#[instrument]`, in any
    /// form.
    fn is_known_word(&self, input: ParseStream<'_>) -> bool {
        next_word(input).is_some_and(|word| {
            let name = word.to_string();
            Key::named(self.annotation, &name).is_some()
                || Key::named(self.annotation.other(), &name).is_some()
                || words::instead_of_instrument_key(self.annotation, &name).is_some()
        })
    }

    fn unexpected(&self, input: ParseStream<'_>) -> Error {
        let start = input.fork();
        skip_argument(input);
        let given = consumed(&start, input);
        let keys = Key::names_of(self.annotation);
        let message = format!(
            "unexpected argument; expected `key = value` with one of {}{}",
            list(&keys),
            did_you_mean(&given.to_string(), &keys)
        );
        Error::new_spanned(given, message)
    }

    fn unknown_key(&self, name: &str) -> String {
        let (annotation, other) = (self.annotation, self.annotation.other());
        let keys = Key::names_of(annotation);
        if let Some(instead) = words::instead_of_instrument_key(annotation, name) {
            return format!("`{name}` is not supported: {instead}");
        }
        match Key::named(other, name) {
            None => format!("unknown key `{name}`; {}", expected_one_of(name, &keys)),
            Some(key) if key == other.target_key() => format!(
                "`{name}` is a key of `{}`; write `{} = …`",
                other.attribute(),
                annotation.target_key().name()
            ),
            Some(_) => format!(
                "`{name}` is a key of `{}`; {}",
                other.attribute(),
                expected_one_of(name, &keys)
            ),
        }
    }

    /// Reads what follows a key.
    fn value(
        &mut self,
        key: Key,
        word: &Ident,
        is_optional: bool,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> Result<()> {
        let keys = &mut self.keys;
        let value = || values::expression(key, word, input);
        match key {
            Key::Collection | Key::Target => {
                self.target = Some(values::target(key, is_optional, value()?)?);
            }
            Key::Namespace => keys.namespace = values::text_or_none(key, value()?)?,
            Key::ServerAddress => keys.server_address = values::text_or_none(key, value()?)?,
            Key::QueryText => keys.query_text = Some(values::query_text(key, value()?)?),
            Key::QuerySummary => keys.query_summary = Some(values::text(key, value()?)?),
            Key::Type => keys.job_type = Some(values::text(key, value()?)?),
            Key::System => keys.system = Some(values::system(value()?)?),
            Key::Name => keys.span_name = Some(values::span_name(&value()?)?),
            Key::Kind => keys.kind = Some(values::kind(&value()?)?),
            Key::Level => keys.level = Some(values::level(&value()?)?),
            Key::Parent => keys.parent = Some(values::parent(value()?)?),
            Key::Slow => keys.slow = Some(values::duration(&value()?)?),
            Key::Metrics => keys.metrics_off = values::metrics(&value()?)? == "off",
            Key::Rows => keys.rows = Some(values::rows(value()?)?),
            Key::AffectedRows => keys.affected_rows = Some(values::count(key, value()?)?),
            Key::BatchSize => keys.batch_size = Some(values::count(key, value()?)?),
            Key::ErrorType => keys.error_type = Some(values::error_type(value()?)?),
            Key::Future => keys.future_returned = values::future(&value()?)? == "returned",
            Key::Crate => keys.crate_path = Some(values::crate_path(word, input)?),
            Key::Leaf => {
                keys.leaf = true;
                values::nothing(key, input)?;
            }
            Key::Fields => {
                let content = values::parenthesized(key, word, input)?;
                each(&content, errors, |input, _| {
                    let field = attribute::field(input, &keys.fields)?;
                    keys.fields.push(field);
                    Ok(())
                });
            }
        }
        Ok(())
    }
}
