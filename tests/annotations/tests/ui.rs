//! Annotations that compile, and the error of each mistake. The `.stderr` files are written with
//! the compiler of the workspace's `rust-version` and then reviewed: see `docs/development.md`.

#[test]
fn every_mistake_is_one_error_with_the_valid_choices() {
    let cases = trybuild::TestCases::new();
    cases.pass("../ui/pass/*.rs");
    cases.compile_fail("../ui/fail/*.rs");
}
