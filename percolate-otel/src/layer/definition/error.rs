//! Why a registry cannot be read.

use std::path::PathBuf;

/// A registry cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The file or folder cannot be read.
    #[error("cannot read the registry {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The folder contains no YAML file.
    #[error("the folder {} contains no registry; add a `.yaml` file", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not a valid registry.
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
