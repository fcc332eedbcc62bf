//! Registries of users: YAML files in OpenTelemetry's definition format (`file_format: definition/2`), read into the
//! Layer's [`Registry`]. Attributes, attribute groups, spans and metrics count; events, entities and imports are
//! allowed and not looked at.
//!
//! Every mistake names the file and the line, what is wrong and what is accepted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::conventions::{Stability, ValueType};
use super::ConventionLayerBuilder;
use super::registry::{
    Attribute, Class, Metric, Registry, SpanType, Use, Want, is_well_formed, listed,
};
use super::yaml::{self, Node, Value};
use crate::nearest::nearest;

/// Why a registry could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The file or folder could not be read.
    #[error("cannot read the registry {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds no YAML file.
    #[error("the folder {} holds no registry: put a `.yaml` file into it", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A file does not say what a registry says.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// What is wrong and what is accepted.
        message: String,
    },
}

impl ConventionLayerBuilder {
    /// Adds a registry: a YAML file, or a folder of them (`manifest.yaml` is left out). Its spans are checked, its
    /// names are known, and unknown names in its namespaces are findings.
    ///
    /// ```
    /// use percolate_otel::ConventionLayer;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("shop.yaml");
    /// # std::fs::write(&path, "file_format: definition/2\n")?;
    /// let conventions = ConventionLayer::builder().registry(path)?.build();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RegistryError`] with file and line.
    pub fn registry(self, path: impl AsRef<Path>) -> Result<Self, RegistryError> {
        let path = path.as_ref();
        let failed = |source| RegistryError::Read {
            path: path.to_owned(),
            source,
        };
        let mut files = Vec::new();
        if path.is_dir() {
            for entry in fs::read_dir(path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                let is_yaml = file
                    .extension()
                    .is_some_and(|end| end == "yaml" || end == "yml");
                let is_manifest = file
                    .file_stem()
                    .is_some_and(|stem| stem.to_string_lossy().ends_with("manifest"));
                if is_yaml && !is_manifest {
                    files.push(file);
                }
            }
            files.sort();
            if files.is_empty() {
                return Err(RegistryError::Empty {
                    path: path.to_owned(),
                });
            }
        } else {
            files.push(path.to_owned());
        }
        let mut texts = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file).map_err(|source| RegistryError::Read {
                path: file.clone(),
                source,
            })?;
            texts.push((file.display().to_string(), text));
        }
        self.registry_texts(&texts)
    }

    /// Adds a registry from a text; `name` stands for the file in errors.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Invalid`] with name and line.
    pub fn registry_str(self, name: &str, text: &str) -> Result<Self, RegistryError> {
        self.registry_texts(&[(name.to_owned(), text.to_owned())])
    }

    fn registry_texts(mut self, files: &[(String, String)]) -> Result<Self, RegistryError> {
        read(files, &mut self.registry)?;
        Ok(self)
    }
}

/// Adds what the files define. The files of one registry may refer to each other.
pub(crate) fn read(
    files: &[(String, String)],
    registry: &mut Registry,
) -> Result<(), RegistryError> {
    let mut parts = Vec::new();
    for (file, text) in files {
        let at = |line, message| RegistryError::Invalid {
            file: file.clone(),
            line,
            message,
        };
        let root = yaml::parse(text).map_err(|error| at(error.line, error.message))?;
        parts.push((
            file,
            Part::new(&root).map_err(|Mistake { line, message }| at(line, message))?,
        ));
    }
    let mut groups = HashMap::new();
    let steps: [Step; 3] = [Part::attributes, Part::groups, Part::signals];
    for step in steps {
        for (file, part) in &parts {
            step(part, registry, &mut groups).map_err(|Mistake { line, message }| {
                RegistryError::Invalid {
                    file: (*file).clone(),
                    line,
                    message,
                }
            })?;
        }
    }
    Ok(())
}

type Groups = HashMap<String, Vec<Use>>;
type Step = fn(&Part, &mut Registry, &mut Groups) -> Result<(), Mistake>;

#[derive(Debug)]
struct Mistake {
    line: usize,
    message: String,
}

fn mistake<T>(line: usize, message: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake {
        line,
        message: message.into(),
    })
}

/// One file.
struct Part {
    root: Map,
}

/// A mapping that says which keys it has.
struct Map {
    line: usize,
    what: &'static str,
    pairs: Vec<(String, usize, Node)>,
}

impl Map {
    fn new(node: &Node, what: &'static str, keys: &[&str]) -> Result<Self, Mistake> {
        let Value::Map(pairs) = &node.value else {
            return mistake(
                node.line,
                format!("{what} has to be a mapping of keys to values"),
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

    fn get(&self, key: &str) -> Option<&Node> {
        self.pairs
            .iter()
            .find(|(known, ..)| known == key)
            .map(|(.., node)| node)
    }

    fn want(&self, key: &str) -> Result<&Node, Mistake> {
        match self.get(key) {
            Some(node) => Ok(node),
            None => mistake(self.line, format!("{} has no `{key}`", self.what)),
        }
    }

    fn text(&self, key: &str) -> Result<(&str, usize), Mistake> {
        let node = self.want(key)?;
        Ok((scalar(node, key)?, node.line))
    }

    /// One of a list of words.
    fn word<'a>(&'a self, key: &str, words: &[&str]) -> Result<&'a str, Mistake> {
        let (word, line) = self.text(key)?;
        if words.contains(&word) {
            return Ok(word);
        }
        let accepted = listed(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        mistake(line, format!("`{word}` is no {key}; expected {accepted}"))
    }

    fn list(&self, key: &str) -> Result<&[Node], Mistake> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Node {
                value: Value::List(items),
                ..
            }) => Ok(items),
            Some(node) => mistake(node.line, format!("`{key}` has to be a list")),
        }
    }

    fn stability(&self) -> Result<Stability, Mistake> {
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

fn scalar<'a>(node: &'a Node, what: &str) -> Result<&'a str, Mistake> {
    match &node.value {
        Value::Scalar(text) => Ok(text),
        _ => mistake(node.line, format!("`{what}` has to be a text")),
    }
}

const FILE_KEYS: &[&str] = &[
    "file_format",
    "version",
    "attributes",
    "attribute_groups",
    "spans",
    "metrics",
    "events",
    "entities",
    "imports",
    "span_refinements",
    "metric_refinements",
    "event_refinements",
    "entity_refinements",
];
const ATTRIBUTE_KEYS: &[&str] = &[
    "key",
    "type",
    "brief",
    "note",
    "stability",
    "deprecated",
    "annotations",
    "examples",
];
const REF_KEYS: &[&str] = &[
    "ref",
    "ref_group",
    "brief",
    "note",
    "examples",
    "annotations",
    "stability",
    "deprecated",
    "requirement_level",
    "sampling_relevant",
];
const SPAN_KEYS: &[&str] = &[
    "type",
    "kind",
    "brief",
    "note",
    "stability",
    "name",
    "deprecated",
    "attributes",
    "entity_associations",
    "annotations",
];
const METRIC_KEYS: &[&str] = &[
    "name",
    "instrument",
    "unit",
    "brief",
    "note",
    "stability",
    "deprecated",
    "attributes",
    "entity_associations",
    "annotations",
    "value_type",
];
const GROUP_KEYS: &[&str] = &[
    "id",
    "visibility",
    "stability",
    "brief",
    "note",
    "attributes",
    "deprecated",
    "annotations",
];

impl Part {
    fn new(root: &Node) -> Result<Self, Mistake> {
        if let Value::Map(pairs) = &root.value
            && let Some((_, line, _)) = pairs.iter().find(|(key, ..)| key == "groups")
        {
            return mistake(
                *line,
                "`groups` belong to the older format; write `file_format: definition/2` and its keys",
            );
        }
        let root = Map::new(root, "a registry file", FILE_KEYS)?;
        match (root.get("file_format"), root.get("version")) {
            (Some(node), _) if scalar(node, "file_format")? != "definition/2" => mistake(
                node.line,
                "this format is not read; expected `file_format: definition/2`",
            ),
            (None, Some(node)) if scalar(node, "version")? != "2" => mistake(
                node.line,
                "this version is not read; expected `file_format: definition/2`",
            ),
            (None, None) => mistake(
                1,
                "the format is not said; expected `file_format: definition/2`",
            ),
            _ => Ok(Self { root }),
        }
    }

    fn attributes(&self, registry: &mut Registry, _: &mut Groups) -> Result<(), Mistake> {
        for node in self.root.list("attributes")? {
            let map = Map::new(node, "an attribute", ATTRIBUTE_KEYS)?;
            let (key, line) = map.text("key")?;
            if !is_well_formed(key) || !key.contains('.') {
                return mistake(
                    line,
                    format!(
                        "`{key}` is no attribute name; use lower-case words joined by `_`, with a namespace: `shop.order_id`"
                    ),
                );
            }
            if registry.attribute(key).is_some() || registry.deprecated.contains_key(key) {
                return mistake(
                    line,
                    format!("`{key}` is defined already; refer to it with `ref: {key}`"),
                );
            }
            let (value_type, members, is_template) = value_type(map.want("type")?)?;
            let stability = map.stability()?;
            map.text("brief")?;
            let name: Cow<'static, str> = Cow::Owned(key.to_owned());
            if let Some(node) = map.get("deprecated") {
                registry.deprecated.insert(name, deprecated(node)?.into());
                continue;
            }
            let namespace = key.split('.').next().unwrap_or(key);
            if !registry.namespaces.iter().any(|known| known == namespace) {
                registry.namespaces.push(Cow::Owned(namespace.to_owned()));
                registry
                    .own_namespaces
                    .push(Cow::Owned(namespace.to_owned()));
            }
            let attribute = Attribute {
                value_type,
                members,
                stability,
            };
            if is_template {
                registry.templates.push((name, attribute));
            } else {
                registry.attributes.insert(name, attribute);
            }
        }
        Ok(())
    }

    fn groups(&self, registry: &mut Registry, groups: &mut Groups) -> Result<(), Mistake> {
        for node in self.root.list("attribute_groups")? {
            let map = Map::new(node, "an attribute group", GROUP_KEYS)?;
            let (id, line) = map.text("id")?;
            let uses = uses(&map, registry, groups)?;
            if groups.insert(id.to_owned(), uses).is_some() {
                return mistake(line, format!("the attribute group `{id}` is defined twice"));
            }
        }
        Ok(())
    }

    fn signals(&self, registry: &mut Registry, groups: &mut Groups) -> Result<(), Mistake> {
        for node in self.root.list("spans")? {
            let map = Map::new(node, "a span", SPAN_KEYS)?;
            let (name, line) = map.text("type")?;
            let kind = map
                .word(
                    "kind",
                    &["client", "server", "producer", "consumer", "internal"],
                )?
                .to_owned();
            map.stability()?;
            map.text("brief")?;
            Map::new(map.want("name")?, "a span's name", &["note"])?.text("note")?;
            if registry.spans.iter().any(|span| span.name == name) {
                return mistake(line, format!("the span `{name}` is defined twice"));
            }
            let attributes = uses(&map, registry, groups)?;
            let span = SpanType {
                name: name.to_owned().into(),
                class: Class::Other,
                kind: kind.into(),
                attributes,
            };
            registry.spans.push(span);
        }
        for node in self.root.list("metrics")? {
            let map = Map::new(node, "a metric", METRIC_KEYS)?;
            let (name, line) = map.text("name")?;
            let instrument = map
                .word(
                    "instrument",
                    &["counter", "updowncounter", "gauge", "histogram"],
                )?
                .to_owned();
            let unit = map.text("unit")?.0.to_owned();
            let stability = map.stability()?;
            map.text("brief")?;
            if let Some(node) = map.get("deprecated") {
                registry
                    .deprecated_metrics
                    .insert(name.to_owned().into(), deprecated(node)?.into());
                continue;
            }
            let attributes = uses(&map, registry, groups)?;
            let metric = Metric {
                instrument: instrument.into(),
                unit: unit.into(),
                stability,
                attributes,
            };
            if registry
                .metrics
                .insert(name.to_owned().into(), metric)
                .is_some()
            {
                return mistake(line, format!("the metric `{name}` is defined already"));
            }
        }
        Ok(())
    }
}

/// The type of values, the values of a closed set, and whether it is a template.
fn value_type(node: &Node) -> Result<(ValueType, Vec<Cow<'static, str>>, bool), Mistake> {
    if let Value::Map(_) = node.value {
        let map = Map::new(node, "a type", &["members", "allow_custom_values"])?;
        let mut members = Vec::new();
        let mut is_text = true;
        for node in map.list("members")? {
            let keys = [
                "id",
                "value",
                "brief",
                "note",
                "stability",
                "deprecated",
                "annotations",
            ];
            let member = Map::new(node, "a member", &keys)?;
            member.text("id")?;
            let (value, _) = member.text("value")?;
            is_text &= value.parse::<i64>().is_err();
            members.push(Cow::Owned(value.to_owned()));
        }
        if members.is_empty() {
            return mistake(node.line, "a type of members has to list at least one");
        }
        // Numbers are judged by their type alone.
        return Ok(if is_text {
            (ValueType::String, members, false)
        } else {
            (ValueType::Int, Vec::new(), false)
        });
    }
    let word = scalar(node, "type")?;
    let (word, is_template) = match word
        .strip_prefix("template[")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => (inner, true),
        None => (word, false),
    };
    let value_type = match word {
        "string" => ValueType::String,
        "int" => ValueType::Int,
        "double" => ValueType::Double,
        "boolean" => ValueType::Boolean,
        "any" | "string[]" | "int[]" | "double[]" | "boolean[]" => ValueType::Any,
        other => {
            return mistake(
                node.line,
                format!(
                    "`{other}` is no type; expected `string`, `int`, `double`, `boolean`, one of these with `[]`, `any`, `template[…]` or `members`"
                ),
            );
        }
    };
    Ok((value_type, Vec::new(), is_template))
}

/// The name to use instead of a deprecated one; empty when there is none.
fn deprecated(node: &Node) -> Result<String, Mistake> {
    let map = Map::new(node, "`deprecated`", &["reason", "renamed_to", "note"])?;
    match map.word(
        "reason",
        &["renamed", "obsoleted", "uncategorized", "unspecified"],
    )? {
        "renamed" => Ok(map.text("renamed_to")?.0.to_owned()),
        _ => Ok(String::new()),
    }
}

/// The attributes a span, metric or group refers to.
fn uses(map: &Map, registry: &Registry, groups: &Groups) -> Result<Vec<Use>, Mistake> {
    let mut uses: Vec<Use> = Vec::new();
    for node in map.list("attributes")? {
        let item = Map::new(node, "an attribute reference", REF_KEYS)?;
        if let Some(group) = item.get("ref_group") {
            let id = scalar(group, "ref_group")?;
            let Some(of_group) = groups.get(id) else {
                return mistake(
                    group.line,
                    format!("no attribute group `{id}` is defined before it is used"),
                );
            };
            uses.extend(of_group.iter().cloned());
            continue;
        }
        let (key, line) = item.text("ref")?;
        let is_known = registry.attribute(key).is_some()
            || registry.templates.iter().any(|(prefix, _)| prefix == key);
        if !is_known && registry.owns(key) {
            let hint = registry
                .nearest_attribute(key)
                .map(|meant| format!(" (did you mean `{meant}`?)"));
            return mistake(
                line,
                format!(
                    "the attribute `{key}` is not defined{}",
                    hint.unwrap_or_default()
                ),
            );
        }
        let want = match item.get("requirement_level") {
            None => Want::Recommended,
            Some(node) => requirement(node)?,
        };
        let at_start = match item.get("sampling_relevant") {
            None => false,
            Some(node) => match scalar(node, "sampling_relevant")? {
                "true" => true,
                "false" => false,
                _ => return mistake(node.line, "`sampling_relevant` is `true` or `false`"),
            },
        };
        // A refinement after the group it came from.
        uses.retain(|known| known.key != key);
        uses.push(Use {
            key: key.to_owned().into(),
            want,
            at_start,
        });
    }
    Ok(uses)
}

fn requirement(node: &Node) -> Result<Want, Mistake> {
    let (word, line) = match &node.value {
        Value::Scalar(word) => (word.as_str(), node.line),
        Value::Map(pairs) if pairs.len() == 1 => (pairs[0].0.as_str(), pairs[0].1),
        _ => ("", node.line),
    };
    match word {
        "required" => Ok(Want::Required),
        "conditionally_required" => Ok(Want::Conditionally),
        "recommended" => Ok(Want::Recommended),
        "opt_in" => Ok(Want::OptIn),
        other => mistake(
            line,
            format!(
                "`{other}` is no requirement level; expected `required`, `conditionally_required: …`, `recommended` or `opt_in`"
            ),
        ),
    }
}

#[cfg(test)]
mod tests;
