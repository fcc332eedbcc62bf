//! A scope that checks the report at the end of a test.

use super::convention_layer::ConventionLayer;
use super::profile::Profile;

impl ConventionLayer {
    /// Returns a scope that fails the test on any finding when it is dropped, if the profile is
    /// [`Profile::Strict`].
    #[must_use = "the check happens when the scope is dropped"]
    pub fn test_scope(&self) -> TestScope {
        TestScope {
            layer: self.clone(),
        }
    }
}

/// Checks the report when it is dropped. Created by [`ConventionLayer::test_scope`].
#[derive(Debug)]
pub struct TestScope {
    layer: ConventionLayer,
}

impl Drop for TestScope {
    fn drop(&mut self) {
        // A test that panics already fails with its own message.
        if self.layer.profile() == Profile::Strict && !std::thread::panicking() {
            self.layer.report().assert_clean();
        }
    }
}
