//! [`CheckedStore`]: an object store as the engine uses it.
//!
//! Errors that cannot pass by waiting are marked ([`Refused`]), so that no layer above repeats the
//! request. A database in files is not written after its directory was removed ([`Root`]).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use slatedb::object_store::local::LocalFileSystem;
use slatedb::object_store::path::Path;
use slatedb::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::refused::{Refused, reason_of_bucket, reason_of_files};
use super::root::Root;

/// A store whose errors say whether waiting helps.
#[derive(Debug)]
pub(super) struct CheckedStore {
    inner: Arc<dyn ObjectStore>,
    kind: Kind,
}

/// What is checked, and how errors are judged.
#[derive(Debug, Clone)]
enum Kind {
    /// A bucket, or the memory of this process; and whether it has ever answered, for which it needs
    /// credentials.
    Bucket(Arc<AtomicBool>),
    /// The directory of a database in files.
    Files(Arc<Root>),
}

impl CheckedStore {
    /// Checks the answers of a bucket.
    pub(super) fn of_bucket(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            kind: Kind::Bucket(Arc::default()),
        }
    }

    /// Checks a file system, in which the database is in the directory `root`.
    pub(super) fn of_files(files: LocalFileSystem, root: &Path) -> Result<Self> {
        let root = Root::new(files.clone(), root.clone())?;
        Ok(Self {
            inner: Arc::new(files),
            kind: Kind::Files(Arc::new(root)),
        })
    }
}

impl Kind {
    fn mark(&self, error: Error) -> Error {
        let reason = match self {
            Self::Bucket(answered) => reason_of_bucket(&error, answered.load(Ordering::Relaxed)),
            Self::Files(_) => reason_of_files(&error),
        };
        Refused::marked(error, reason)
    }

    /// Marks the error of an answer.
    fn judge<T>(&self, answer: Result<T>) -> Result<T> {
        if let (Self::Bucket(answered), Ok(_)) = (self, &answer) {
            answered.store(true, Ordering::Relaxed);
        }
        answer.map_err(|error| self.mark(error))
    }

    /// Refuses a write if the directory of the database was removed.
    async fn check(&self) -> Result<()> {
        match self {
            Self::Bucket(_) => Ok(()),
            Self::Files(root) => Root::check(root).await,
        }
    }

    /// Refuses to acknowledge a write if the directory of the database was removed meanwhile.
    async fn check_written(&self, location: &Path) -> Result<()> {
        match self {
            Self::Bucket(_) => Ok(()),
            Self::Files(root) => Root::check_written(root, location).await,
        }
    }

    /// Runs a write to `location`.
    async fn written<T>(
        &self,
        location: &Path,
        write: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.check().await?;
        let written = write.await;
        if written.is_err() {
            // The reason, if the directory was removed during the write.
            self.check().await?;
        } else {
            self.check_written(location).await?;
        }
        self.judge(written)
    }
}

impl fmt::Display for CheckedStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

#[async_trait]
impl ObjectStore for CheckedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, opts);
        self.kind.written(location, put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.kind.check().await?;
        let upload = self.inner.put_multipart_opts(location, opts).await;
        Ok(Box::new(CheckedUpload {
            inner: upload.map_err(|error| self.kind.mark(error))?,
            location: location.clone(),
            kind: self.kind.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.inner.get_opts(location, options).await {
            Err(error @ Error::NotFound { .. }) => {
                // Everything is missing if the directory is.
                self.kind.check().await?;
                Err(self.kind.mark(error))
            }
            answer => self.kind.judge(answer),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let kind = self.kind.clone();
        let deleted = self.inner.delete_stream(locations);
        deleted.map_err(move |error| kind.mark(error)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let kind = self.kind.clone();
        let listed = self.inner.list(prefix);
        listed.map_err(move |error| kind.mark(error)).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let kind = self.kind.clone();
        let listed = self.inner.list_with_offset(prefix, offset);
        listed.map_err(move |error| kind.mark(error)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.kind
            .judge(self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = self.inner.copy_opts(from, to, options);
        self.kind.written(to, copy).await
    }
}

/// A large object that is written in parts.
#[derive(Debug)]
struct CheckedUpload {
    inner: Box<dyn MultipartUpload>,
    location: Path,
    kind: Kind,
}

#[async_trait]
impl MultipartUpload for CheckedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (kind, part) = (self.kind.clone(), self.inner.put_part(data));
        Box::pin(async move { part.await.map_err(|error| kind.mark(error)) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let Self {
            inner,
            location,
            kind,
        } = self;
        kind.written(location, inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.inner.abort().await;
        aborted.map_err(|error| self.kind.mark(error))
    }
}
