//! No two source files of percolate-otel or percolate-core import each other in a circle.
//!
//! The test reads `use` declarations and `crate::`, `super::` and `self::` paths. A name that a
//! module only passes on counts as an import of the file that defines it. Test code does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files that are one unit by design, each group with its reason.
const ALLOWED: &[(&[&str], &str)] = &[
    (
        &["storage/db.rs", "storage/batch.rs"],
        "a batch is written by the database that creates it",
    ),
    (
        &["testing/mod.rs", "testing/spans.rs", "testing/metrics.rs"],
        "a capture and what it captured print each other",
    ),
];

#[test]
fn no_files_of_percolate_otel_import_each_other_in_a_circle() {
    check(Path::new("src"));
}

#[test]
fn no_files_of_percolate_core_import_each_other_in_a_circle() {
    check(Path::new("../percolate-core/src"));
}

#[test]
fn a_circle_is_found_and_named() {
    let mut sources = BTreeMap::new();
    sources.insert(
        "lib.rs".to_owned(),
        "mod a; mod b; pub use a::A;".to_owned(),
    );
    sources.insert(
        "a.rs".to_owned(),
        "use crate::b::B; pub struct A;".to_owned(),
    );
    sources.insert(
        "b.rs".to_owned(),
        "// use crate::A;\npub struct B(crate::A); // through the re-export".to_owned(),
    );
    assert_eq!(circles(&imports(&sources)), [["a.rs", "b.rs"]]);
    sources.insert(
        "b.rs".to_owned(),
        "pub(in crate::a) struct B; #[cfg(test)] mod tests { use crate::a::A; }".to_owned(),
    );
    assert!(circles(&imports(&sources)).is_empty());
}

fn check(root: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut sources = BTreeMap::new();
    read(&root, &root, &mut sources);
    let imports = imports(&sources);
    let found: Vec<String> = circles(&imports)
        .iter()
        .filter(|circle| !is_allowed(circle))
        .map(|circle| describe(circle, &imports))
        .collect();
    assert!(
        found.is_empty(),
        "files import each other in a circle in {}; move what they share into a file below them:\n{}",
        root.display(),
        found.join("\n")
    );
}

fn is_allowed(circle: &[&str]) -> bool {
    ALLOWED
        .iter()
        .any(|(group, _)| circle.iter().all(|file| group.contains(file)))
}

/// The files of a circle, each with the others that it imports.
fn describe(circle: &[&str], imports: &Imports) -> String {
    let line = |file: &&str| {
        let others: Vec<&str> = imports[*file]
            .iter()
            .map(String::as_str)
            .filter(|other| circle.contains(other))
            .collect();
        format!("    {file} imports {}", others.join(", "))
    };
    let lines: Vec<String> = circle.iter().map(line).collect();
    format!("  {} files:\n{}", circle.len(), lines.join("\n"))
}

/// Source text by path below the root. Files of tests are left out.
type Sources = BTreeMap<String, String>;
/// What each file imports.
type Imports = BTreeMap<String, BTreeSet<String>>;
type Module = Vec<String>;

fn read(root: &Path, folder: &Path, sources: &mut Sources) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the entry is readable").path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            read(root, &path, sources);
        } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
            let name = path.strip_prefix(root).expect("it is below the root");
            let name = name.to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&path).expect("the file is readable");
            sources.insert(name, text);
        }
    }
}

fn module_of(file: &str) -> Module {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => Module::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// A path in the source, from the crate's root.
struct Mention {
    path: Vec<String>,
    /// It only passes a name on: `pub use`.
    is_export: bool,
}

#[derive(Default)]
struct Parsed {
    mentions: Vec<Mention>,
    /// Names that a `use` declaration brings into each module of the file, and their paths.
    names: BTreeMap<(Module, String), Vec<String>>,
}

fn imports(sources: &Sources) -> Imports {
    let modules: BTreeMap<Module, &str> = sources
        .keys()
        .map(|file| (module_of(file), file.as_str()))
        .collect();
    let parsed: BTreeMap<&str, Parsed> = sources
        .iter()
        .map(|(file, text)| (file.as_str(), parse(&module_of(file), text, &modules)))
        .collect();
    let mut names = BTreeMap::new();
    for parsed in parsed.values() {
        names.extend(parsed.names.clone());
    }
    let mut imports = Imports::new();
    for (file, parsed) in &parsed {
        let targets = parsed
            .mentions
            .iter()
            .filter(|mention| !mention.is_export)
            .filter_map(|mention| definition(&mention.path, &modules, &names, 0))
            .filter(|target| target != file && *target != "lib.rs")
            .map(str::to_owned)
            .collect();
        imports.insert((*file).to_owned(), targets);
    }
    imports
}

/// The file that defines what a path names.
fn definition<'a>(
    path: &[String],
    modules: &BTreeMap<Module, &'a str>,
    names: &BTreeMap<(Module, String), Vec<String>>,
    depth: usize,
) -> Option<&'a str> {
    let mut known = 0;
    for length in 0..=path.len() {
        if length > known + 1 || depth > 20 {
            break;
        }
        if modules.contains_key(&path[..length]) {
            known = length;
        }
    }
    if let Some(next) = path.get(known)
        && let Some(target) = names.get(&(path[..known].to_vec(), next.clone()))
        && target.as_slice() != path
    {
        let mut target = target.clone();
        target.extend_from_slice(&path[known + 1..]);
        return definition(&target, modules, names, depth + 1);
    }
    modules.get(&path[..known]).copied()
}

fn parse(file: &Module, text: &str, modules: &BTreeMap<Module, &str>) -> Parsed {
    let tokens = without_tests(&tokens(text));
    let mut parsed = Parsed::default();
    // The module the token is in, and the depth of braces at which each inline module ends.
    let mut module = file.clone();
    let mut inline: Vec<usize> = Vec::new();
    let mut braces = 0;
    let mut index = 0;
    while index < tokens.len() {
        let token = tokens[index].as_str();
        let follows = |offset: usize| tokens.get(index + offset).map_or("", String::as_str);
        match token {
            "mod" if follows(2) == "{" => {
                module.push(follows(1).to_owned());
                inline.push(braces);
                braces += 1;
                index += 3;
                continue;
            }
            "{" => braces += 1,
            "}" => {
                braces -= 1;
                if inline.last() == Some(&braces) {
                    inline.pop();
                    module.pop();
                }
            }
            "use" if follows(1) != "<" => {
                let end = (index..tokens.len())
                    .find(|at| tokens[*at] == ";")
                    .unwrap_or(tokens.len());
                let before = index.checked_sub(1).map_or("", |at| tokens[at].as_str());
                let is_export = before == "pub" || before == ")";
                let mut paths = Vec::new();
                expand(&tokens[index + 1..end], &[], &mut paths);
                for (path, name) in paths {
                    if let Some(path) = absolute(&path, &module, modules) {
                        parsed.names.insert((module.clone(), name), path.clone());
                        parsed.mentions.push(Mention { path, is_export });
                    }
                }
                index = end;
                continue;
            }
            // The path of `pub(in path)` is not an import.
            "in" if tokens[..index].ends_with(&["pub".to_owned(), "(".to_owned()]) => {
                index += tokens[index..].iter().position(|it| it == ")").unwrap_or(1);
                continue;
            }
            _ if follows(1) == "::" && is_word(token) => {
                let mut path = vec![token.to_owned()];
                let mut at = index + 1;
                while at + 1 < tokens.len() && tokens[at] == "::" && is_word(&tokens[at + 1]) {
                    path.push(tokens[at + 1].clone());
                    at += 2;
                }
                let is_relative = index > 0 && tokens[index - 1] == "::";
                if let (false, Some(path)) = (is_relative, absolute(&path, &module, modules)) {
                    parsed.mentions.push(Mention {
                        path,
                        is_export: false,
                    });
                }
                index = at;
                continue;
            }
            _ => {}
        }
        index += 1;
    }
    parsed
}

/// A path from the crate's root, if it is in this crate.
fn absolute(
    path: &[String],
    module: &Module,
    modules: &BTreeMap<Module, &str>,
) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Module::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => {
            let mut child = module.clone();
            child.push(first.clone());
            return modules
                .contains_key(&child)
                .then(|| [&child[..], rest].concat());
        }
    };
    for segment in rest {
        match segment.as_str() {
            "super" => _ = base.pop(),
            "self" | "*" => {}
            segment => base.push(segment.to_owned()),
        }
    }
    Some(base)
}

/// The paths of a `use` tree, each with the name it gets.
fn expand(tree: &[String], prefix: &[String], paths: &mut Vec<(Vec<String>, String)>) {
    let mut path = prefix.to_vec();
    let mut name = None;
    let mut index = 0;
    while index < tree.len() {
        match tree[index].as_str() {
            "::" => {}
            "as" => {
                name = tree.get(index + 1).cloned();
                index += 1;
            }
            "{" => {
                let inner = &tree[index + 1..tree.len() - 1];
                let mut depth = 0;
                let mut start = 0;
                for (at, token) in inner.iter().enumerate() {
                    match token.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "," if depth == 0 => {
                            expand(&inner[start..at], &path, paths);
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
                if start < inner.len() {
                    expand(&inner[start..], &path, paths);
                }
                return;
            }
            word => path.push(word.to_owned()),
        }
        index += 1;
    }
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(last) = path.last().cloned() {
        paths.push((path, name.unwrap_or(last)));
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Leaves out every item under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let end = (index..tokens.len())
            .find(|at| tokens[*at] == "]")
            .filter(|_| tokens[index] == "#");
        let is_test = end.is_some_and(|end| {
            let attribute = tokens[index..end].concat();
            attribute.contains("cfg(test)") || attribute.contains("cfg(all(test")
        });
        if !is_test {
            kept.push(tokens[index].clone());
            index += 1;
            continue;
        }
        let mut depth = 0;
        index = end.map_or(tokens.len(), |end| end + 1);
        while index < tokens.len() {
            let token = tokens[index].as_str();
            index += 1;
            match token {
                "{" | "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                "}" => {
                    depth -= 1;
                    // A `use` tree has braces too, and ends with a semicolon.
                    if depth == 0 && tokens.get(index).is_none_or(|next| next != ";") {
                        break;
                    }
                }
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

/// Words and punctuation, without comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    while at < chars.len() {
        let (this, next) = (chars[at], chars.get(at + 1).copied().unwrap_or(' '));
        if this == '/' && next == '/' {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if this == '/' && next == '*' {
            at += 2;
            while at + 1 < chars.len() && (chars[at], chars[at + 1]) != ('*', '/') {
                at += 1;
            }
            at += 2;
        } else if this == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if this == 'r'
            && (next == '"' || (next == '#' && raw_string(&chars[at..]).is_some()))
        {
            at += raw_string(&chars[at..]).unwrap_or(1);
        } else if this == '\'' {
            // A character, or else a lifetime.
            let escaped = next == '\\';
            let end = (at + 2..(at + 12).min(chars.len())).find(|end| chars[*end] == '\'');
            at = match end {
                Some(end) if escaped || end == at + 2 => {
                    if escaped && chars[at + 2] == '\'' {
                        at + 4
                    } else {
                        end + 1
                    }
                }
                _ => at + 1,
            };
        } else if is_name(this) {
            let start = at;
            while at < chars.len() && is_name(chars[at]) {
                at += 1;
            }
            tokens.push(chars[start..at].iter().collect());
        } else if this == ':' && next == ':' {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !this.is_whitespace() {
                tokens.push(this.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// The length of the raw string literal that `chars` begin with.
fn raw_string(chars: &[char]) -> Option<usize> {
    let hashes = chars[1..].iter().take_while(|c| **c == '#').count();
    if chars.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let mut at = 2 + hashes;
    while at < chars.len() {
        let closes =
            chars[at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        at += 1;
        if closes {
            return Some(at + hashes);
        }
    }
    None
}

/// Groups of files in which each one reaches every other.
fn circles(imports: &Imports) -> Vec<Vec<&str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|file| (file.as_str(), reached(file, imports)))
        .collect();
    let mut found: Vec<Vec<&str>> = Vec::new();
    for (file, reached) in &reach {
        if !reached.contains(file) || found.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        let circle = reached
            .iter()
            .copied()
            .filter(|other| reach[other].contains(file))
            .collect();
        found.push(circle);
    }
    found
}

fn reached<'a>(file: &str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = imports[file].iter().map(String::as_str).collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(imports[file].iter().map(String::as_str));
        }
    }
    found
}
