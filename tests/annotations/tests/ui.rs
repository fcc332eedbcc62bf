//! What compiles under an annotation, and the one error of each mistake. The `.stderr` files are written by the
//! compiler that the workspace's `rust-version` names, then read by a person: see `docs/development.md`.

#[test]
fn every_mistake_is_one_error_that_says_what_to_write() {
    let cases = trybuild::TestCases::new();
    cases.pass("../ui/pass/*.rs");
    cases.compile_fail("../ui/fail/*.rs");
}
