//! Real entities: the documented declarations (functions, types, constants, fields, variants) in
//! the sources of the packages that cargo has unpacked on this machine, package by package. The
//! packages of this workspace alone have more than a hundred thousand. A machine with fewer
//! measures fewer; the tables contain the number.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::{Value, json};

use crate::Failed;

/// The name of their table.
pub(crate) const TABLE: &str = "declarations";

/// The schema of the table.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "place": { "type": "string", "minLength": 1 },
            "package": { "type": "string" },
            "version": { "type": "string" },
            "file": { "type": "string" },
            "line": { "type": "integer", "minimum": 1 },
            "kind": { "enum": KINDS },
            "name": { "type": "string" },
            "code": { "type": "string" },
            "text": { "type": "string" },
        },
        "required": ["place", "package", "version", "file", "line", "kind", "name", "code", "text"],
        "key_field": "place",
        "indexed_fields": ["package", "kind", "line"],
        "embedding_fields": ["text"],
    })
}

/// The keywords of declarations, and the kinds of fields and variants.
const KINDS: [&str; 10] = [
    "fn", "struct", "enum", "trait", "type", "const", "static", "mod", "union", MEMBER,
];
const MEMBER: &str = "member";

/// Returns at most `most` declarations.
pub(crate) fn read(most: usize) -> Result<Vec<Value>, Failed> {
    let mut found = Vec::new();
    each(most, &mut |declaration| {
        found.push(declaration);
        Ok(())
    })?;
    Ok(found)
}

/// Iterates over at most `most` declarations in a fixed order.
pub(crate) fn each(
    most: usize,
    take: &mut dyn FnMut(Value) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut left = most;
    for package in packages()? {
        for file in sources(&package) {
            let Ok(text) = fs::read_to_string(&file) else {
                continue;
            };
            let of = Origin::new(&package, &file);
            for declaration in declarations(&of, &text) {
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                take(declaration)?;
            }
        }
    }
    if left == most {
        return Err("cargo's registry folder holds no documented sources; build something from crates.io first".into());
    }
    Ok(())
}

/// The folders of all unpacked packages, sorted by their names.
fn packages() -> Result<Vec<PathBuf>, Failed> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .filter(|home| !home.as_os_str().is_empty());
    let home = home
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .ok_or("the home folder is unknown")?;
    let mut packages: Vec<_> = entries(&home.join("registry/src"))
        .iter()
        .flat_map(|source| entries(source))
        .collect();
    packages.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(packages)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    entries
}

/// The Rust sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    };
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    entries(folder)
        .into_iter()
        .flat_map(below)
        .filter(is_source)
        .collect()
}

/// The sources that contain declarations.
struct Origin {
    folder: String,
    package: String,
    version: String,
    file: String,
}

impl Origin {
    fn new(package: &Path, file: &Path) -> Self {
        let folder = package
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // The version starts at the first dash before a digit.
        let dash = folder
            .match_indices('-')
            .find(|(at, _)| folder[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
        let (package_name, version) =
            dash.map_or((&*folder, ""), |(at, _)| (&folder[..at], &folder[at + 1..]));
        let (package_name, version) = (package_name.to_owned(), version.to_owned());
        let file = file
            .strip_prefix(package)
            .unwrap_or(file)
            .to_string_lossy()
            .into_owned();
        Self {
            folder,
            package: package_name,
            version,
            file,
        }
    }
}

/// Returns the documented declarations of a source.
fn declarations(of: &Origin, source: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut text = String::new();
    for (line, code) in (1..).zip(source.lines().map(str::trim)) {
        if let Some(words) = code.strip_prefix("///") {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(words.trim());
        } else if !code.starts_with("#[") {
            if let Some((kind, name)) = declared(code).filter(|_| !text.trim().is_empty()) {
                let place = format!("{}/{}:{line}", of.folder, of.file);
                found.push(json!({
                    "place": place, "package": of.package, "version": of.version, "file": of.file, "line": line,
                    "kind": kind, "name": name, "code": code, "text": text.trim(),
                }));
            }
            text.clear();
        }
    }
    found
}

/// Returns the kind and the name that a line declares.
fn declared(code: &str) -> Option<(&'static str, &str)> {
    let mut rest = code;
    loop {
        let (word, after) = split_name(rest);
        let (next, _) = split_name(after.trim_start());
        match word {
            "" => return None,
            "pub" => {
                rest = after
                    .split_once(')')
                    .filter(|_| after.starts_with('('))
                    .map_or(after, |(_, rest)| rest)
            }
            "async" | "unsafe" | "extern" => rest = after.trim_start().trim_start_matches("\"C\""),
            "const" if ["fn", "unsafe", "async", "extern"].contains(&next) => rest = after,
            _ => match KINDS.into_iter().find(|kind| *kind == word) {
                Some(kind) => return (!next.is_empty()).then_some((kind, next)),
                None => return is_member(after).then_some((MEMBER, word)),
            },
        }
        rest = rest.trim_start();
    }
}

/// Splits a text after its leading name.
fn split_name(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len()),
    )
}

/// Returns `true` if the text can follow the name of a field or a variant.
fn is_member(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || (after.starts_with([':', ',', '(', '{', '=']) && !after.starts_with("::"))
}
