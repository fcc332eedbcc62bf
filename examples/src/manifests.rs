//! Reads the package manifests of cargo's registry folder,
//! `registry/src/<registry>/<package>/Cargo.toml`. Every machine that builds Rust code has some.
//! This module uses neither storage nor telemetry.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde::{Deserialize, Serialize};

/// A package, as its manifest describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    /// Name and version, as in `serde 1.0.0`. The key of the catalogue.
    #[serde(default)]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keywords: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) categories: Vec<String>,
}

impl Package {
    /// Sorts by name, then by version number.
    fn order(&self) -> (&str, Vec<u64>, &str) {
        let numbers = self.version.split(['-', '+']).next().unwrap_or_default();
        let numbers = numbers
            .split('.')
            .map(|number| number.parse().unwrap_or_default())
            .collect();
        (&self.name, numbers, &self.version)
    }
}

/// The packages of a registry folder by name and version, and the number of unreadable manifests.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    pub(crate) packages: Vec<Package>,
    pub(crate) unreadable: usize,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

/// Returns the folder into which cargo unpacks downloaded packages.
pub(crate) fn registry() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .filter(|home| !home.as_os_str().is_empty());
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")))?;
    Some(home.join("registry").join("src"))
}

/// Reads every manifest below a registry folder.
pub(crate) fn read(registry: &Path) -> io::Result<Manifests> {
    let mut found = Manifests::default();
    for source in folders(registry)? {
        for package in folders(&source)? {
            match fs::read_to_string(package.join("Cargo.toml")) {
                Ok(text) => found.add(&text),
                // Not a package: cargo also stores marker files and incomplete folders here.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => found.unreadable += 1,
            }
        }
    }
    found.packages.sort_by(|a, b| a.order().cmp(&b.order()));
    // Two registries can have the same package, and so do an index and its mirror.
    found.packages.dedup_by(|a, b| a.id == b.id);
    Ok(found)
}

impl Manifests {
    /// Returns the ids of packages of which a newer version exists.
    pub(crate) fn superseded(&self) -> Vec<String> {
        let pairs = self.packages.windows(2);
        pairs
            .filter(|pair| pair[0].name == pair[1].name)
            .map(|pair| pair[0].id.clone())
            .collect()
    }

    fn add(&mut self, text: &str) {
        match toml::from_str::<Manifest>(text) {
            Ok(Manifest { package }) => {
                let id = format!("{} {}", package.name, package.version);
                self.packages.push(Package { id, ..package });
            }
            Err(_) => self.unreadable += 1,
        }
    }
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry_with(manifests: &[(&str, &str)]) -> tempfile::TempDir {
        let registry = tempfile::tempdir().expect("a temporary folder");
        for (package, text) in manifests {
            let folder = registry.path().join("index.example").join(package);
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("Cargo.toml"), text).expect("a file");
        }
        registry
    }

    #[test]
    fn packages_come_sorted_and_with_everything_the_manifest_says() {
        let registry = registry_with(&[
            (
                "b-1.0.0",
                "[package]\nname = \"b\"\nversion = \"1.0.0\"\n[dependencies]\na = \"1\"",
            ),
            (
                "a-0.1.0",
                "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2021\"\nlicense = \"MIT\"\n\
                 keywords = [\"one\", \"two\"]\ncategories = [\"science\"]\ndescription = \"\"\"\nFirst.\n\"\"\"",
            ),
        ]);
        let found = read(registry.path()).expect("a readable folder");
        assert_eq!(found.unreadable, 0);
        assert_eq!(
            found
                .packages
                .iter()
                .map(|package| package.name.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        let first = &found.packages[0];
        assert_eq!(first.id, "a 0.1.0");
        assert_eq!(first.license.as_deref(), Some("MIT"));
        assert_eq!(first.keywords, ["one", "two"]);
        assert_eq!(first.categories, ["science"]);
        assert_eq!(first.description.as_deref(), Some("First.\n"));
        assert_eq!(found.packages[1].license, None);
    }

    #[test]
    fn manifests_that_cannot_be_read_are_counted_and_stop_nothing() {
        let registry = registry_with(&[
            ("broken-1.0.0", "[package\nname ="),
            ("nameless-1.0.0", "[package]\nversion = \"1.0.0\""),
            (
                "good-1.0.0",
                "[package]\nname = \"good\"\nversion = \"1.0.0\"",
            ),
        ]);
        fs::create_dir_all(registry.path().join("index.example").join("empty-1.0.0"))
            .expect("a folder");
        fs::write(registry.path().join("index.example").join(".cargo-ok"), "").expect("a file");
        let found = read(registry.path()).expect("a readable folder");
        assert_eq!(found.packages.len(), 1);
        assert_eq!(found.unreadable, 2);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let manifest = |version| format!("[package]\nname = \"rand\"\nversion = \"{version}\"");
        let registry = registry_with(&[
            ("rand-0.10.4", &manifest("0.10.4")),
            ("rand-0.9.5", &manifest("0.9.5")),
            ("rand-0.9.4-rc.1", &manifest("0.9.4-rc.1+build")),
        ]);
        let found = read(registry.path()).expect("a readable folder");
        assert_eq!(found.superseded(), ["rand 0.9.4-rc.1+build", "rand 0.9.5"]);
    }

    #[test]
    fn a_missing_registry_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(
            read(&folder.path().join("none"))
                .map(drop)
                .map_err(|error| error.kind()),
            Err(io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn the_registry_this_was_built_from_is_read() {
        let registry = registry().expect("a home folder");
        let found = read(&registry).expect("cargo's registry folder");
        assert!(
            found
                .packages
                .iter()
                .any(|package| package.name == "tracing"),
            "{} packages",
            found.packages.len()
        );
        assert!(
            found.packages.len() > 50,
            "{} packages",
            found.packages.len()
        );
    }
}
