//! Failed attempts to send a request, and when to try again: exponential back-off with jitter, or
//! the delay in the collector's response. Which failures are final is decided by the transports.
//! Invariant: no attempt begins after the time limit of the export.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use rustls::Error as TlsError;

/// The first delay. It doubles with each attempt.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// The longest delay that is not in a response.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// No attempt begins with less time left.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(50);

/// A request that was not accepted.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) problem: String,
    pub(super) retry: Retry,
}

/// Whether to send the request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// The next attempt would fail too.
    Never,
    /// After the back-off.
    Backoff,
    /// After the delay in the collector's response.
    After(Duration),
}

impl Failure {
    /// A request that could not be sent. A certificate that is not trusted is final; a connection
    /// that is refused or interrupted is tried again.
    pub(super) fn of_connection(error: &(dyn Error + 'static)) -> Self {
        let untrusted = causes(error).find_map(tls_error).filter(|error| {
            matches!(
                error,
                TlsError::InvalidCertificate(_) | TlsError::NoCertificatesPresented
            )
        });
        match untrusted {
            Some(error) => Self {
                problem: format!("the collector's certificate is not trusted: {error}"),
                retry: Retry::Never,
            },
            None => Self {
                problem: chain(error),
                retry: Retry::Backoff,
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match self.retry {
            Retry::After(delay) => write!(f, "; it requests a delay of {delay:?}"),
            Retry::Never | Retry::Backoff => Ok(()),
        }
    }
}

/// The delays between the attempts of one export.
#[derive(Debug)]
pub(super) struct Backoff {
    delay: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { delay: FIRST_DELAY }
    }
}

impl Backoff {
    /// Returns how long to wait before the next attempt; `None` to give up. `left` is the rest of
    /// the time limit, and `jitter` a random number from 0 to 1.
    pub(super) fn next(&mut self, retry: Retry, left: Duration, jitter: f64) -> Option<Duration> {
        if left < SHORTEST_ATTEMPT {
            return None;
        }
        let backoff = self.delay.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
        match retry {
            Retry::Never => None,
            // The last attempts are closer together, so that the whole time limit is used.
            Retry::Backoff => Some(backoff.min(left / 2)),
            Retry::After(requested) if requested >= left => None,
            // Never earlier than requested, and not all clients at the same moment.
            Retry::After(requested) => Some((requested + backoff / 4).min(left)),
        }
    }
}

/// Returns an error and its causes as one message. The messages of HTTP libraries alone are only
/// "transport error" or "client error".
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let message = cause.to_string();
        if text.is_empty() {
            text = message;
        } else if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
    }
    text
}

fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + use<'a> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

/// Returns the TLS error, which may be inside several I/O errors.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    if let Some(error) = error.downcast_ref::<TlsError>() {
        return Some(error);
    }
    let inside = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the times of the attempts within a time limit if all of them fail at once.
    fn attempts(limit: Duration, jitter: f64) -> Vec<Duration> {
        let (mut backoff, mut now, mut attempts) = (Backoff::default(), Duration::ZERO, vec![]);
        while let Some(delay) = backoff.next(Retry::Backoff, limit.saturating_sub(now), jitter) {
            now += delay;
            attempts.push(now);
        }
        attempts
    }

    #[test]
    fn attempts_are_spread_over_the_whole_time_limit() {
        for jitter in [0.0, 0.5, 1.0] {
            let times = attempts(10 * SECOND, jitter);
            assert!(times[0] <= FIRST_DELAY, "{times:?}");
            assert!(times.len() < 20, "{times:?}");
            assert!(
                times.last() > Some(&(9 * SECOND)) && times.last() < Some(&(10 * SECOND)),
                "{times:?}"
            );
        }
    }

    #[test]
    fn delays_double_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let mut delays = (0..8).map(|_| backoff.next(Retry::Backoff, 3600 * SECOND, 1.0));
        let millis: Vec<_> = delays.by_ref().flatten().map(|d| d.as_millis()).collect();
        assert_eq!(millis, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
    }

    #[test]
    fn the_delay_in_a_response_is_kept_or_the_export_is_given_up() {
        let mut backoff = Backoff::default();
        let delay = backoff.next(Retry::After(2 * SECOND), 10 * SECOND, 0.0);
        assert!(delay.is_some_and(|delay| delay >= 2 * SECOND && delay < 3 * SECOND));
        assert_eq!(
            backoff.next(Retry::After(60 * SECOND), 10 * SECOND, 0.0),
            None
        );
        assert_eq!(backoff.next(Retry::Never, 10 * SECOND, 0.0), None);
    }

    #[test]
    fn a_message_contains_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error: {0}")]
        struct Outer(#[source] std::io::Error);
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(chain(&Outer(refused)), "client error: connection refused");
    }
}
