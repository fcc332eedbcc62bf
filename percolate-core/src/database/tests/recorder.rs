//! An embedding provider that keeps the texts that it receives.

use std::sync::Mutex;

use super::*;
use crate::embeddings::{EmbeddingError, EmbeddingFuture, EmbeddingProvider};

/// A provider that keeps the texts that it receives, and calls a function before it answers. It has no
/// vector for `poison`.
pub(super) struct Recorder {
    dimensions: usize,
    pub(super) texts: Mutex<Vec<String>>,
    pub(super) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl EmbeddingProvider for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
        self.texts.lock().unwrap().extend_from_slice(texts);
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let answer = if texts.iter().any(|text| text == "poison") {
            Err(EmbeddingError::Provider {
                provider: "recorder".to_owned(),
                kind: "400".into(),
                source: "refused".into(),
            })
        } else {
            // The provider's vectors point to the last axis.
            let mut vector = vec![0.0; self.dimensions];
            vector[self.dimensions - 1] = 1.0;
            Ok(vec![vector; texts.len()])
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Recorder {
    /// Returns the texts that it received since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.texts.lock().unwrap())
    }
}

pub(super) fn recorder(dimensions: usize) -> (Arc<Recorder>, DatabaseOptions) {
    let provider = Arc::new(Recorder {
        dimensions,
        texts: Mutex::default(),
        meanwhile: Mutex::default(),
    });
    let options = DatabaseOptions::new().provider(provider.clone());
    (provider, options)
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// A database whose vectors have three numbers.
pub(super) struct Library {
    pub(super) dir: tempfile::TempDir,
    pub(super) db: Database,
    pub(super) provider: Arc<Recorder>,
}

/// Creates a database with a table `articles`, of which two fields are embedded.
pub(super) fn library() -> Library {
    let dir = tempfile::tempdir().unwrap();
    let (provider, options) = recorder(3);
    let db = Database::open_with(dir.path(), options).unwrap();
    let schema = json!({ "key_field": "slug", "embedding_fields": ["body", "title"] });
    db.register_schema("articles", &schema).unwrap();
    Library { dir, db, provider }
}
