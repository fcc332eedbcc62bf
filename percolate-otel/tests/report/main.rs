//! The report of a pipeline: what a page has after a flush and after the shutdown, and how it behaves
//! in a browser.
#![cfg(all(feature = "pipeline", feature = "testing"))]

mod browser;
mod in_browser;
mod pages;
mod shelf;
