//! YAML as a tree of nodes with line numbers, for the errors of registries. Every scalar is a text
//! here; `definition.rs` interprets the texts.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScanError};

/// One node and its first line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(String),
    List(Vec<Node>),
    /// Keys are scalars, with their own line.
    Map(Vec<(String, usize, Node)>),
}

/// A text that is not YAML, or has a part of YAML that registries do not need.
#[derive(Debug, PartialEq)]
pub(crate) struct YamlError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        Self {
            line: error.marker().line(),
            message: format!("this is not valid YAML: {}", error.info()),
        }
    }
}

/// Parses the first document of a text.
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    // The open containers, innermost last. A map has the lines of its keys, and the key whose value
    // comes next.
    enum Open {
        List(usize, Vec<Node>),
        Map(
            usize,
            Vec<(String, usize, Node)>,
            HashMap<String, usize>,
            Option<(String, usize)>,
        ),
    }
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event?;
        let line = span.start.line();
        let error = |message: &str| YamlError {
            line,
            message: message.to_owned(),
        };
        let done = match event {
            Event::Scalar(text, ..) => Node {
                line,
                value: Value::Scalar(text.into_owned()),
            },
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), HashMap::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, items)) => Node {
                    line,
                    value: Value::List(items),
                },
                Some(Open::Map(line, pairs, _, None)) => Node {
                    line,
                    value: Value::Map(pairs),
                },
                _ => return Err(error("a key has no value")),
            },
            Event::Alias(_) => {
                return Err(error(
                    "aliases (`*name`) are not supported; repeat the value",
                ));
            }
            Event::DocumentEnd => return Err(error("the document is empty")),
            _ => continue,
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, pairs, lines, key)) => match (key.take(), done) {
                (Some((name, at)), value) => pairs.push((name, at, value)),
                (
                    None,
                    Node {
                        line,
                        value: Value::Scalar(name),
                    },
                ) => {
                    if let Some(before) = lines.insert(name.clone(), line) {
                        return Err(YamlError {
                            line,
                            message: format!("`{name}` is given twice (first on line {before})"),
                        });
                    }
                    *key = Some((name, line));
                }
                (None, Node { line, .. }) => {
                    return Err(YamlError {
                        line,
                        message: "a key must be a text".to_owned(),
                    });
                }
            },
        }
    }
    Err(YamlError {
        line: 1,
        message: "the file is empty".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_a_line() {
        let root = parse("# a comment\na: 1\nb:\n  - x\n  - {c: d}\n").expect("the text is valid");
        let Value::Map(pairs) = &root.value else {
            panic!("{root:?}")
        };
        assert_eq!((pairs[1].0.as_str(), pairs[1].1), ("b", 3));
        let Value::List(items) = &pairs[1].2.value else {
            panic!("{root:?}")
        };
        assert_eq!(
            items[0],
            Node {
                line: 4,
                value: Value::Scalar("x".to_owned())
            }
        );
        assert_eq!(items[1].line, 5);
    }

    /// Before, 32,000 keys took 4 s without optimisation, and 64,000 four times as long.
    #[test]
    fn the_time_is_linear_in_the_number_of_keys() {
        let keys = 200_000;
        let lines: Vec<_> = (0..keys).map(|key| format!("key{key}: 1\n")).collect();
        let text = lines.concat();
        let started = std::time::Instant::now();
        let root = parse(&text).expect("the text is valid");
        let Value::Map(pairs) = &root.value else {
            panic!("{root:?}")
        };
        assert_eq!(pairs.len(), keys);
        let elapsed = started.elapsed();
        assert!(elapsed < std::time::Duration::from_mins(1), "{elapsed:?}");
        let twice = format!("{text}key7: 2\n");
        assert_eq!(
            parse(&twice).expect_err("twice").message,
            "`key7` is given twice (first on line 8)"
        );
    }

    #[test]
    fn mistakes_are_reported_with_their_line() {
        assert_eq!(
            parse("a: 1\na: 2").expect_err("twice").message,
            "`a` is given twice (first on line 1)"
        );
        assert_eq!(parse("a: &x 1\nb: *x").expect_err("alias").line, 2);
        assert!(parse("a: [1\nb").is_err());
        assert!(parse("").is_err());
    }
}
