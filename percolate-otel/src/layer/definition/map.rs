//! Mappings with known keys, and the mistakes in them.

use super::super::registry::listed;
use super::super::yaml::{Node, Value};
use crate::conventions::Stability;
use crate::nearest::nearest;

/// A mistake in one file.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Returns a mistake as an error.
pub(crate) fn mistake<T>(line: usize, message: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake {
        line,
        message: message.into(),
    })
}

/// A mapping whose keys are all known.
pub(crate) struct Map {
    line: usize,
    what: &'static str,
    pairs: Vec<(String, usize, Node)>,
}

impl Map {
    /// Reads a mapping. `what` names it in messages, `keys` are the known keys.
    pub(crate) fn new(node: &Node, what: &'static str, keys: &[&str]) -> Result<Self, Mistake> {
        let Value::Map(pairs) = &node.value else {
            return mistake(
                node.line,
                format!("{what} must be a mapping of keys to values"),
            );
        };
        for (key, line, _) in pairs {
            if !keys.contains(&key.as_str()) {
                let accepted = listed(&keys.iter().map(ToString::to_string).collect::<Vec<_>>());
                let hint = nearest(key, keys.iter().copied())
                    .map(|meant| format!(" (did you mean `{meant}`?)"));
                return mistake(
                    *line,
                    format!(
                        "unknown key `{key}` of {what}; expected {accepted}{}",
                        hint.unwrap_or_default()
                    ),
                );
            }
        }
        Ok(Self {
            line: node.line,
            what,
            pairs: pairs.clone(),
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.pairs
            .iter()
            .find(|(known, ..)| known == key)
            .map(|(.., node)| node)
    }

    /// Returns the value of a required key.
    pub(crate) fn require(&self, key: &str) -> Result<&Node, Mistake> {
        match self.get(key) {
            Some(node) => Ok(node),
            None => mistake(self.line, format!("{} has no `{key}`", self.what)),
        }
    }

    /// Returns the text of a required key, and its line.
    pub(crate) fn text(&self, key: &str) -> Result<(&str, usize), Mistake> {
        let node = self.require(key)?;
        Ok((scalar(node, key)?, node.line))
    }

    /// Returns the text of a required key, which must be one of `words`.
    pub(crate) fn word<'a>(&'a self, key: &str, words: &[&str]) -> Result<&'a str, Mistake> {
        let (word, line) = self.text(key)?;
        if words.contains(&word) {
            return Ok(word);
        }
        let accepted = listed(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        mistake(
            line,
            format!("`{word}` is not a valid {key}; expected {accepted}"),
        )
    }

    /// Returns the list of an optional key.
    pub(crate) fn list(&self, key: &str) -> Result<&[Node], Mistake> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Node {
                value: Value::List(items),
                ..
            }) => Ok(items),
            Some(node) => mistake(node.line, format!("`{key}` must be a list")),
        }
    }

    pub(crate) fn stability(&self) -> Result<Stability, Mistake> {
        let words = [
            "stable",
            "development",
            "alpha",
            "beta",
            "release_candidate",
        ];
        Ok(if self.word("stability", &words)? == "stable" {
            Stability::Stable
        } else {
            Stability::Development
        })
    }
}

/// Returns the text of a node.
pub(crate) fn scalar<'a>(node: &'a Node, what: &str) -> Result<&'a str, Mistake> {
    match &node.value {
        Value::Scalar(text) => Ok(text),
        _ => mistake(node.line, format!("`{what}` must be a text")),
    }
}
