//! Depends on the crates whose features the workspace unifies. See `Cargo.toml`.
