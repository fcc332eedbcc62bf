//! [`Note`]: the note of a reader in the store, which keeps the files of its state from being deleted.
//!
//! SlateDB calls it a checkpoint. Its reader would renew the note when it looks for a newer state, and
//! move to that state: it gets a [`ReaderClock`], with which it does not look, and the note is renewed
//! here.

use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use slatedb::admin::Admin;
use slatedb::{DbReader, ErrorKind};
use slatedb_common::clock::{DefaultSystemClock, SystemClock, SystemClockTicker};
use tokio::task::JoinHandle;

use super::place::ObjectPlace;

/// The longest pause until the time is read again: timers stand still while a machine sleeps.
const STEP: Duration = Duration::from_mins(1);

/// A note that is renewed until this is dropped. SlateDB removes the note when the reader is closed, and
/// ignores it after its lifetime if the reader ends without that.
pub(super) struct Note(Option<JoinHandle<()>>);

impl Note {
    /// Renews the note of a reader, in a task of the current runtime.
    pub(super) fn of(reader: &DbReader, place: &ObjectPlace, lifetime: Duration) -> Self {
        let manifest = reader.manifest();
        let mut notes = manifest.checkpoints().iter();
        let note = notes.find(|note| note.manifest_id == manifest.id());
        let renewing = note.map(|note| {
            let (id, prefix) = (note.id, place.prefix.clone());
            // The store is that of the reader, and not kept by this.
            let store = Arc::downgrade(&place.store);
            tokio::spawn(async move {
                let pause = lifetime / 4;
                let mut renewed = SystemTime::now();
                loop {
                    tokio::time::sleep(pause.min(STEP)).await;
                    let now = SystemTime::now();
                    if now < renewed + pause {
                        continue;
                    }
                    let Some(store) = store.upgrade() else {
                        return;
                    };
                    // A new one, because its clock stands still while a machine sleeps.
                    let admin = Admin::builder(prefix.clone(), store).build();
                    match admin.refresh_checkpoint(id, Some(lifetime)).await {
                        Ok(()) => renewed = now,
                        Err(error) if error.kind() == ErrorKind::Data => return,
                        // Tried again after the next pause.
                        Err(_) => {}
                    }
                }
            })
        });
        Self(renewing)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(renewing) = &self.0 {
            renewing.abort();
        }
    }
}

/// The clock of a reader: the time goes on, and nothing is due at intervals.
#[derive(Debug, Default)]
pub(super) struct ReaderClock(DefaultSystemClock);

impl SystemClock for ReaderClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn sleep<'a>(&'a self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.0.sleep(duration)
    }

    fn ticker(&self, duration: Duration) -> SystemClockTicker<'_> {
        SystemClockTicker::new(&Endless, duration)
    }
}

/// A clock on which each pause is endless.
#[derive(Debug)]
struct Endless;

impl SystemClock for Endless {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep<'a>(&'a self, _duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(future::pending())
    }

    fn ticker(&self, duration: Duration) -> SystemClockTicker<'_> {
        SystemClockTicker::new(self, duration)
    }
}
