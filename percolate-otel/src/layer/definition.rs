//! Registries of users: YAML files in OpenTelemetry's definition format (`file_format:
//! definition/2`), read into the Layer's [`Registry`]. Attributes, attribute groups, spans and
//! metrics are read. Events, entities and imports are allowed and ignored.
//!
//! Every error has the file and the line, what is wrong and what is accepted.

mod error;
mod map;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

pub use error::RegistryError;

use super::builder::ConventionLayerBuilder;
use super::registry::{
    Attribute, Class, Metric, Registry, Requirement, SpanType, Use, is_well_formed,
};
use super::yaml::{self, Node, Value};
use crate::conventions::ValueType;
use map::{Map, Mistake, mistake, scalar};

impl ConventionLayerBuilder {
    /// Adds a registry: a YAML file, or a folder of them (except `manifest.yaml`). Its spans and
    /// metrics are checked, and unknown names in its namespaces are findings.
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
    /// Returns a [`RegistryError`] with the file and line of a mistake.
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

    /// Adds a registry from a text. Errors have `name` in place of a file.
    ///
    /// # Errors
    ///
    /// Returns a [`RegistryError::Invalid`] with `name` and the line of a mistake.
    pub fn registry_str(self, name: &str, text: &str) -> Result<Self, RegistryError> {
        self.registry_texts(&[(name.to_owned(), text.to_owned())])
    }

    fn registry_texts(mut self, files: &[(String, String)]) -> Result<Self, RegistryError> {
        read(files, &mut self.registry)?;
        Ok(self)
    }
}

/// Adds the definitions of the files, which may refer to each other.
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

/// One file.
struct Part {
    root: Map,
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
                "`groups` is a key of the older format; use `file_format: definition/2` and its keys",
            );
        }
        let root = Map::new(root, "a registry file", FILE_KEYS)?;
        match (root.get("file_format"), root.get("version")) {
            (Some(node), _) if scalar(node, "file_format")? != "definition/2" => mistake(
                node.line,
                "this format is not supported; expected `file_format: definition/2`",
            ),
            (None, Some(node)) if scalar(node, "version")? != "2" => mistake(
                node.line,
                "this version is not supported; expected `file_format: definition/2`",
            ),
            (None, None) => mistake(
                1,
                "the format is missing; expected `file_format: definition/2`",
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
                        "`{key}` is not a valid attribute name; use lower-case words joined by `_`, with a namespace: `shop.order_id`"
                    ),
                );
            }
            if registry.attribute(key).is_some() || registry.deprecated.contains_key(key) {
                return mistake(
                    line,
                    format!("`{key}` is already defined; refer to it with `ref: {key}`"),
                );
            }
            let (value_type, members, is_template) = value_type(map.require("type")?)?;
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
            Map::new(map.require("name")?, "a span's name", &["note"])?.text("note")?;
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
                return mistake(line, format!("the metric `{name}` is already defined"));
            }
        }
        Ok(())
    }
}

/// Returns the type of the values, the values of a closed set, and whether it is a template.
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
            return mistake(node.line, "a type with `members` must list at least one");
        }
        // Numbers are only checked by their type.
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
                    "`{other}` is not a valid type; expected `string`, `int`, `double`, `boolean`, one of these with `[]`, `any`, `template[…]` or `members`"
                ),
            );
        }
    };
    Ok((value_type, Vec::new(), is_template))
}

/// Returns the replacement of a deprecated name, which is empty if there is none.
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

/// Reads the attributes of a span, metric or group.
fn uses(map: &Map, registry: &Registry, groups: &Groups) -> Result<Vec<Use>, Mistake> {
    let mut uses: Vec<Use> = Vec::new();
    for node in map.list("attributes")? {
        let item = Map::new(node, "an attribute reference", REF_KEYS)?;
        if let Some(group) = item.get("ref_group") {
            let id = scalar(group, "ref_group")?;
            let Some(of_group) = groups.get(id) else {
                return mistake(
                    group.line,
                    format!("there is no attribute group `{id}` before this line"),
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
        let requirement = match item.get("requirement_level") {
            None => Requirement::Recommended,
            Some(node) => requirement_level(node)?,
        };
        let at_start = match item.get("sampling_relevant") {
            None => false,
            Some(node) => match scalar(node, "sampling_relevant")? {
                "true" => true,
                "false" => false,
                _ => return mistake(node.line, "`sampling_relevant` must be `true` or `false`"),
            },
        };
        // Replaces the same attribute of a group.
        uses.retain(|known| known.key != key);
        uses.push(Use {
            key: key.to_owned().into(),
            requirement,
            at_start,
        });
    }
    Ok(uses)
}

fn requirement_level(node: &Node) -> Result<Requirement, Mistake> {
    let (word, line) = match &node.value {
        Value::Scalar(word) => (word.as_str(), node.line),
        Value::Map(pairs) if pairs.len() == 1 => (pairs[0].0.as_str(), pairs[0].1),
        _ => ("", node.line),
    };
    match word {
        "required" => Ok(Requirement::Required),
        "conditionally_required" => Ok(Requirement::Conditionally),
        "recommended" => Ok(Requirement::Recommended),
        "opt_in" => Ok(Requirement::OptIn),
        other => mistake(
            line,
            format!(
                "`{other}` is not a valid requirement level; expected `required`, `conditionally_required: …`, `recommended` or `opt_in`"
            ),
        ),
    }
}

#[cfg(test)]
mod tests;
