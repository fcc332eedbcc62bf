//! [`FaultyStore`]: an object store that fails in the way that a test needs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use slatedb::object_store::memory::InMemory;
use slatedb::object_store::path::Path;
use slatedb::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::storage::slate::place;

/// What the store does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It answers.
    Works,
    /// It answers this number of requests with an error, as a bucket that limits its requests does.
    Refuses(u64),
    /// It answers all requests with an error.
    Fails,
    /// It answers requests for objects of this folder with an error.
    FailsIn(&'static str),
    /// It answers all requests with an error of this text.
    Answers(&'static str),
    /// It answers this number of requests, and all later ones with an error.
    FailsAfter(u64),
    /// It answers after this time.
    Slow(Duration),
    /// It does not answer, until [`FaultyStore::resume`] is called.
    Hangs,
}

/// At which write the process of the store's users ends: all requests after it fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash {
    /// The number of writes that succeed before.
    pub(crate) after: u64,
    /// Whether the write has its effect, although its answer is lost.
    pub(crate) has_effect: bool,
}

/// A store in memory under a name, whose requests fail as it is told.
pub(crate) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    name: String,
    state: Mutex<State>,
    resumed: tokio::sync::Semaphore,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    crash: Option<Crash>,
    writes: u64,
    failures: u64,
    hanging: u64,
}

impl FaultyStore {
    /// Creates an empty store that works, at a URL of its own.
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let store = Arc::new(Self {
            inner: Arc::new(InMemory::new()),
            name: format!("faulty/{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            state: Mutex::new(State {
                mode: Mode::Works,
                crash: None,
                writes: 0,
                failures: 0,
                hanging: 0,
            }),
            resumed: tokio::sync::Semaphore::new(0),
        });
        let registered: Arc<dyn ObjectStore> = store.clone();
        place::register(&store.name, &registered);
        store
    }

    /// Returns the URL at which a store can be opened while this value exists.
    pub(crate) fn url(&self) -> String {
        format!("memory:///{}", self.name)
    }

    /// Changes what happens to later requests.
    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// Ends the process at a later write.
    pub(crate) fn crash_at(&self, crash: Crash) {
        self.state.lock().unwrap().crash = Some(crash);
    }

    /// From now on, the URL is that of the objects without faults. Engines that are open keep theirs.
    pub(crate) fn restart(&self) {
        place::register(&self.name, &self.inner);
    }

    /// Returns the number of requests that have failed.
    pub(crate) fn failures(&self) -> u64 {
        self.state.lock().unwrap().failures
    }

    /// Returns the number of requests that were not answered at once.
    pub(crate) fn requests_that_hang(&self) -> u64 {
        self.state.lock().unwrap().hanging
    }

    /// Answers the requests that wait.
    pub(crate) fn resume(&self) {
        self.resumed.close();
    }

    /// Returns whether the crash has happened.
    pub(crate) fn has_crashed(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.crash.is_some_and(|crash| state.writes > crash.after)
    }

    /// Returns the number of writes that were tried.
    pub(crate) fn writes(&self) -> u64 {
        self.state.lock().unwrap().writes
    }

    /// Decides about a request.
    fn decide(&self, is_write: bool, place: Option<&Path>) -> Decision {
        let mut state = self.state.lock().unwrap();
        if is_write {
            state.writes += 1;
        }
        if let Some(crash) = state.crash
            && state.writes > crash.after
        {
            state.failures += 1;
            let is_last = is_write && state.writes == crash.after + 1;
            return Decision::Fail {
                has_effect: is_last && crash.has_effect,
            };
        }
        match state.mode {
            Mode::Works | Mode::Refuses(0) => Decision::Answer,
            Mode::Refuses(times) => {
                state.failures += 1;
                state.mode = Mode::Refuses(times - 1);
                Decision::Fail { has_effect: false }
            }
            Mode::FailsAfter(answered @ 1..) => {
                state.mode = Mode::FailsAfter(answered - 1);
                Decision::Answer
            }
            Mode::Fails | Mode::FailsAfter(0) | Mode::Answers(_) => {
                state.failures += 1;
                Decision::Fail { has_effect: false }
            }
            Mode::FailsIn(folder)
                if place.is_some_and(|path| path.parts().any(|part| part.as_ref() == folder)) =>
            {
                state.failures += 1;
                Decision::Fail { has_effect: false }
            }
            Mode::FailsIn(_) => Decision::Answer,
            Mode::Slow(time) => Decision::Wait(time),
            Mode::Hangs => {
                state.hanging += 1;
                Decision::Hang
            }
        }
    }

    /// Returns the text of the error of a request that fails.
    fn answer(&self) -> &'static str {
        match self.state.lock().unwrap().mode {
            Mode::Answers(text) => text,
            _ => "503 Slow Down",
        }
    }

    /// Sends a request, or does what happens instead of it.
    async fn send<T>(
        &self,
        is_write: bool,
        place: Option<&Path>,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.decide(is_write, place) {
            Decision::Answer => request.await,
            Decision::Wait(time) => {
                tokio::time::sleep(time).await;
                request.await
            }
            Decision::Hang => {
                _ = self.resumed.acquire().await;
                request.await
            }
            Decision::Fail { has_effect } => {
                if has_effect {
                    request.await?;
                }
                Err(failure(self.answer()))
            }
        }
    }
}

enum Decision {
    Answer,
    Wait(Duration),
    Hang,
    Fail { has_effect: bool },
}

fn failure(text: &'static str) -> Error {
    Error::Generic {
        store: "faulty",
        source: text.into(),
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FaultyStore({:?})", self.state)
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.send(
            true,
            Some(location),
            self.inner.put_opts(location, payload, opts),
        )
        .await
    }

    /// Only large objects are uploaded in parts.
    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented {
            operation: "put_multipart_opts".to_owned(),
            implementer: self.to_string(),
        })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.send(
            false,
            Some(location),
            self.inner.get_opts(location, options),
        )
        .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.decide(true, None) {
            Decision::Answer | Decision::Wait(_) => self.inner.delete_stream(locations),
            Decision::Hang => stream::pending().boxed(),
            Decision::Fail { .. } => {
                let answer = self.answer();
                locations
                    .and_then(move |_| std::future::ready(Err(failure(answer))))
                    .boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.decide(false, prefix) {
            Decision::Answer => self.inner.list(prefix),
            Decision::Wait(time) => {
                let listed = self.inner.list(prefix);
                let listing = async move {
                    tokio::time::sleep(time).await;
                    listed
                };
                listing.flatten_stream().boxed()
            }
            Decision::Hang => stream::pending().boxed(),
            Decision::Fail { .. } => stream::iter([Err(failure(self.answer()))]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.send(false, prefix, self.inner.list_with_delimiter(prefix))
            .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.send(true, Some(to), self.inner.copy_opts(from, to, options))
            .await
    }
}
