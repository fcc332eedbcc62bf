//! Tests of reading return values.
#![expect(
    clippy::needless_borrow,
    reason = "the number of references is what picks the reading"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::Arc;

use super::autoref::traits::*;
use super::autoref::{Returned, Success};
use super::*;

/// Reads a value as the expansion does.
macro_rules! info {
    ($value:expr) => {
        match Returned(&$value).__percolate_split() {
            Ok(_) => None,
            Err(failure) => Some((&&&&&failure).__percolate_info().error_type.into_owned()),
        }
    };
}
macro_rules! rows {
    ($value:expr) => {
        match Returned(&$value).__percolate_split() {
            Ok(success) => (&success).__percolate_rows(),
            Err(_) => Some(-1),
        }
    };
}

#[derive(Debug)]
struct Plain;
impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("secret")
    }
}
impl Error for Plain {}

#[derive(Debug)]
struct Wraps(io::Error);
impl std::fmt::Display for Wraps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("secret")
    }
}
impl Error for Wraps {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Like `anyhow::Error`: not an `Error` itself.
struct Anyhow(Box<dyn Error + Send + Sync>);
impl AsRef<dyn Error + Send + Sync> for Anyhow {
    fn as_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

#[test]
fn rows_come_from_the_type_and_bytes_are_one_value() {
    assert_eq!(rows!(Some("x")), Some(1));
    assert_eq!(rows!(None::<Vec<u8>>), Some(0));
    assert_eq!(rows!(Ok::<_, Plain>(vec![1, 2, 3])), Some(3));
    assert_eq!(rows!(vec![0_u8; 40]), Some(1));
    assert_eq!(rows!([[0_u8; 4]; 5]), Some(5));
    assert_eq!(rows!(Arc::new(BTreeMap::from([(1, 2)]))), Some(1));
    assert_eq!(rows!(Box::new([1_i32, 2]) as Box<[i32]>), Some(2));
    assert_eq!(rows!(Cow::Borrowed(&[1_i32, 2][..])), Some(2));
    assert_eq!(rows!((vec!["a"], Some("cursor"))), Some(1));
    assert_eq!(rows!(&Some(1)), Some(1));
}

#[test]
fn a_type_without_rows_records_nothing() {
    assert_eq!(rows!(()), None);
    assert_eq!(rows!(String::from("x")), None);
    assert_eq!(rows!(Ok::<_, Plain>(Plain)), None);
}

#[test]
fn a_generic_function_compiles_and_falls_back() {
    fn read<T, E>(value: &Result<T, E>) -> (Option<i64>, Option<String>) {
        let value = Returned(value).__percolate_split();
        match value {
            Ok(success) => ((&success).__percolate_rows(), None),
            Err(failure) => (
                None,
                Some((&&&&&failure).__percolate_info().error_type.into_owned()),
            ),
        }
    }
    assert_eq!(read::<_, Plain>(&Ok(vec![1])), (None, None));
    assert!(
        read::<(), _>(&Err(Plain))
            .1
            .is_some_and(|name| name.ends_with("::Plain"))
    );
}

#[test]
fn an_error_is_named_by_its_trait_then_by_its_cause_then_by_its_type() {
    assert_eq!(
        info!(Err::<(), _>(not_found())).as_deref(),
        Some("NotFound")
    );
    assert_eq!(
        info!(Err::<(), _>(Arc::new(not_found()))).as_deref(),
        Some("NotFound")
    );
    assert_eq!(
        info!(Err::<(), Box<dyn Error>>(Box::new(Wraps(not_found())))).as_deref(),
        Some("NotFound")
    );
    assert_eq!(
        info!(Err::<(), Box<dyn Error + Send + Sync>>(Box::new(
            not_found()
        )))
        .as_deref(),
        Some("NotFound")
    );
    assert_eq!(
        info!(Err::<(), _>(Anyhow(Box::new(Wraps(not_found()))))).as_deref(),
        Some("NotFound")
    );
    assert_eq!(
        info!(Err::<(), _>(Anyhow(Box::new(Plain)))).as_deref(),
        Some("_OTHER")
    );
    assert!(info!(Err::<(), _>(Plain)).is_some_and(|name| name.ends_with("outcome::tests::Plain")));
    assert!(
        info!(Err::<(), _>(Arc::new(Box::new(Plain))))
            .is_some_and(|name| name.ends_with("outcome::tests::Plain"))
    );
    assert_eq!(
        info!("x".parse::<i32>()).as_deref(),
        Some("core::num::error::ParseIntError")
    );
    assert_eq!(
        info!(Err::<(), _>(String::from("user 7"))).as_deref(),
        Some("_OTHER")
    );
    assert_eq!(info!(Err::<(), _>("user 7")).as_deref(), Some("_OTHER"));
    assert_eq!(info!(Err::<(), _>(())).as_deref(), Some("_OTHER"));
    assert_eq!(
        info!(Err::<(), _>(Vec::<Plain>::new())).as_deref(),
        Some("_OTHER")
    );
    assert_eq!(info!(3), None);
}

#[test]
fn an_io_error_that_carries_another_is_named_by_it() {
    let inner = io::Error::other(Wraps(not_found()));
    assert_eq!(ErrorInfo::of(&inner).error_type, "NotFound");
    assert_eq!(ErrorInfo::of(&io::Error::other("text")).error_type, "Other");
}

#[test]
fn a_registered_error_is_known_inside_a_box() {
    #[derive(Debug)]
    struct Code(u8);
    impl std::fmt::Display for Code {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", self.0)
        }
    }
    impl Error for Code {}
    impl ErrorType for Code {
        fn error_type(&self) -> Cow<'static, str> {
            "Corruption".into()
        }
        fn status_code(&self) -> Option<Cow<'static, str>> {
            Some("2".into())
        }
    }
    register_error_type::<Code>();
    register_error_type::<Code>();
    let boxed: Box<dyn Error> = Box::new(Code(2));
    let info = ErrorInfo::from_chain(&*boxed);
    assert_eq!(
        info,
        Some(ErrorInfo {
            error_type: "Corruption".into(),
            status_code: Some("2".into())
        })
    );
}

#[test]
fn an_error_that_borrows_compiles() {
    #[derive(Debug)]
    struct Borrowed<'a>(&'a str);
    impl std::fmt::Display for Borrowed<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Borrowed<'_> {}
    fn read(text: &str) -> Option<String> {
        info!(Err::<(), _>(Borrowed(text)))
    }
    let text = String::from("x");
    assert!(read(&text).is_some_and(|name| name.ends_with("::Borrowed")));
}

#[test]
fn the_status_of_a_job_is_read_from_its_value_also_behind_a_pointer() {
    struct Report(JobStatus);
    impl JobOutcome for Report {
        fn job_status(&self) -> JobStatus {
            self.0
        }
    }
    for status in JobStatus::ALL {
        let boxed = Some(Box::new(Report(status)));
        assert_eq!((&Success(&boxed)).__percolate_status(), status);
    }
    assert_eq!(
        (&Success(&None::<Report>)).__percolate_status(),
        JobStatus::Success
    );
    assert_eq!((&Success(&7)).__percolate_status(), JobStatus::Success);
}
