//! A queue between two processes: the trace context travels in the message, and each attempt of a job has a
//! trace of its own, with a link to the request that submitted the job.
//!
//! The queue transports JSON, as a broker would. [`Capture`] replaces an exporter, so that the example can
//! check its own output.

use std::io::{Error, ErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use percolate_otel::testing::Capture;
use percolate_otel::{QueueWait, Traced, background_job, carry};
use serde::{Deserialize, Serialize};

/// A job, as it is written into the queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reminder {
    user: String,
    /// Counts the repetitions; 0 at first.
    attempt: u32,
}

/// The queue of the broker. `QueueWait` measures how long a message waits in it.
#[derive(Clone)]
struct Queue(Sender<(QueueWait, String)>);

impl Queue {
    /// `Traced` adds the current trace context to the JSON: `{"value": …, "trace": {"traceparent": …}}`.
    fn submit(&self, reminder: Reminder) {
        self.send(&Traced::new(reminder));
    }

    fn send(&self, message: &Traced<Reminder>) {
        let text = serde_json::to_string(message).expect("a reminder is JSON");
        self.0
            .send((QueueWait::begin("reminders"), text))
            .expect("the worker runs until the queue is dropped");
    }
}

/// Has a trace of its own, because the request does not wait for it. `None` is not recorded, so only
/// repetitions have a number.
#[background_job("reminder.send", "mail", parent = link, fields(job.attempt = attempt))]
fn send(user: &str, attempt: Option<u32>) -> Result<(), Error> {
    // The mail server of this example refuses the first attempt for this user.
    if user == "ben" && attempt.is_none() {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

/// Runs `count` messages. A failed job is submitted again, in the context of its first submitter.
fn work(messages: &Receiver<(QueueWait, String)>, count: usize, retries: &Queue) {
    for (wait, text) in messages.iter().take(count) {
        wait.end();
        let message: Traced<Reminder> =
            serde_json::from_str(&text).expect("the queue has reminders");
        let again = message.clone().map(|reminder| Reminder {
            attempt: reminder.attempt + 1,
            ..reminder
        });
        let attempt = Some(message.value().attempt).filter(|attempt| *attempt > 0);
        // The error is on the span of the job.
        if message
            .run(|reminder| send(&reminder.user, attempt))
            .is_err()
        {
            retries.send(&again);
        }
    }
}

#[expect(clippy::print_stdout, reason = "the example prints its spans")]
fn main() {
    let (sender, messages) = channel();
    let queue = Queue(sender);
    let capture = Capture::new();
    capture.run(|| {
        let retries = queue.clone();
        // Two jobs, one of which needs a second attempt.
        let worker = thread::spawn(carry(move || work(&messages, 3, &retries)));
        tracing::info_span!("POST /reminders", otel.kind = "server").in_scope(|| {
            for user in ["ada", "ben"] {
                let user = user.to_owned();
                queue.submit(Reminder { user, attempt: 0 });
            }
        });
        worker.join().expect("the worker does not panic");
    });

    let shown = ["error.type", "job.attempt", "job.status"];
    print!("{}", capture.spans().tree_with(&shown));
    capture.spans().assert_tree_with(
        &shown,
        "
        POST /reminders [server]
        reminder.send mail [internal]
          ~ link to POST /reminders
          | job.status = \"success\"
        reminder.send mail [internal, error]
          ~ link to POST /reminders
          | error.type = \"ConnectionRefused\"
          | job.status = \"failed\"
        reminder.send mail [internal]
          ~ link to POST /reminders
          | job.attempt = 1
          | job.status = \"success\"
        ",
    );
    let metrics = capture.metrics();
    assert_eq!(
        metrics.count("job.queue.wait", &[("job.queue.name", "reminders")]),
        3
    );
    assert_eq!(
        metrics.count("job.duration", &[("job.status", "failed")]),
        1
    );
}
