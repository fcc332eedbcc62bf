//! The services among the examples, each in a process of its own, called over loopback.

mod axum_service;
mod process;
mod tree;
mod w3c_service;
