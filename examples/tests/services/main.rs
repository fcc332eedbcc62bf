//! Tests of the example services, which run in their own processes and are called over loopback.

mod axum_service;
#[path = "../gallery/mod.rs"]
mod gallery;
mod process;
mod tree;
mod w3c_service;
