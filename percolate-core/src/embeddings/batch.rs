//! Embedding many texts: in requests of a limited size, a limited number at a time, with the
//! results in order. If the texts of a request may be the cause of its failure, they are sent again
//! in smaller requests, so that one text does not prevent the vectors of others.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::provider::{EmbeddingError, EmbeddingProvider};
use crate::background_job;
use crate::otel::{JobOutcome, JobStatus};

/// The number of requests that may fail because of their texts before one succeeds. The rest of the
/// texts is then given up, because the provider seems to reject every text.
const FAILED_REQUESTS: usize = 10;

/// Splits texts into requests to a provider.
///
/// ```
/// use std::sync::Arc;
///
/// use percolate_core::embeddings::{BatchEmbedder, OfflineEmbeddings};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let embedder = BatchEmbedder::new(Arc::new(OfflineEmbeddings::new())).request_size(16);
/// let batch = embedder.embed_batch(&["one".to_owned(), "two".to_owned()]).await?;
/// assert_eq!(batch.vectors.len(), 2);
/// # Ok::<(), percolate_core::embeddings::EmbeddingError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct BatchEmbedder {
    provider: Arc<dyn EmbeddingProvider>,
    request_size: usize,
    concurrency: usize,
}

/// The result of a batch.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct EmbeddedBatch {
    /// A vector for each text, in order; `None` if its request failed.
    pub vectors: Vec<Option<Vec<f32>>>,
    /// The errors of failed requests, in the order of the texts.
    pub failures: Vec<EmbeddingError>,
    /// The texts for which the provider has no vector although it embedded other texts.
    pub refused: Vec<RefusedText>,
}

/// A text for which the provider has no vector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedText {
    /// The position of the text in the batch.
    pub position: usize,
    /// The error of the request that contained only this text. It does not contain the text.
    pub reason: String,
}

impl EmbeddedBatch {
    /// Returns the number of texts with a vector.
    pub fn embedded(&self) -> usize {
        self.vectors.iter().flatten().count()
    }
}

impl JobOutcome for EmbeddedBatch {
    fn job_status(&self) -> JobStatus {
        if self.failures.is_empty() {
            JobStatus::Success
        } else {
            JobStatus::Partial
        }
    }
}

/// Neighbouring texts of a request and the answer to them.
struct Part {
    /// The number of texts.
    size: usize,
    /// Whether the provider has no vector for the only text.
    is_refused: bool,
    /// `None` if the texts were given up together with those of another part.
    answer: Option<Result<Vec<Vec<f32>>, EmbeddingError>>,
}

impl Part {
    fn answered(texts: &[String], answer: Result<Vec<Vec<f32>>, EmbeddingError>) -> Self {
        Self {
            size: texts.len(),
            is_refused: texts.len() == 1
                && answer.as_ref().is_err_and(EmbeddingError::is_about_texts),
            answer: Some(answer),
        }
    }

    fn given_up(texts: &[String]) -> Self {
        Self {
            size: texts.len(),
            is_refused: false,
            answer: None,
        }
    }
}

impl BatchEmbedder {
    /// Creates an embedder with the request size and concurrency that the provider supports.
    pub fn new(provider: Arc<dyn EmbeddingProvider>) -> Self {
        let (texts, requests) = (provider.request_size(), provider.concurrency());
        Self {
            provider,
            request_size: 1,
            concurrency: 1,
        }
        .request_size(texts)
        .concurrency(requests)
    }

    /// Sets the maximum number of texts in one request.
    pub fn request_size(mut self, texts: usize) -> Self {
        self.request_size = texts.max(1);
        self
    }

    /// Sets the maximum number of concurrent requests.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.max(1);
        self
    }

    /// Returns the provider.
    pub fn provider(&self) -> &Arc<dyn EmbeddingProvider> {
        &self.provider
    }

    /// Embeds `texts`. Texts of failed requests have no vector. If the texts may be the cause, they
    /// are sent again in halves, so that only the texts at fault have no vector.
    ///
    /// # Errors
    ///
    /// The first error, if all requests failed.
    pub async fn embed_batch(&self, texts: &[String]) -> Result<EmbeddedBatch, EmbeddingError> {
        self.embed_more(texts, false).await
    }

    /// Embeds texts as [`embed_batch`](Self::embed_batch) does. If `is_proven`, the provider has
    /// embedded other texts before; errors that may be about the texts do then not fail the batch.
    #[background_job(embedding.generate, target = "batch", batch_size = texts.len())]
    pub(crate) async fn embed_more(
        &self,
        texts: &[String],
        is_proven: bool,
    ) -> Result<EmbeddedBatch, EmbeddingError> {
        let requests = texts
            .chunks(self.request_size)
            .map(|texts| self.request_in_parts(texts))
            .collect::<Vec<_>>();
        let mut answers = stream::iter(requests).buffered(self.concurrency);
        let mut batch = EmbeddedBatch::default();
        while let Some(parts) = answers.next().await {
            for part in parts {
                if let (true, Some(Err(error))) = (part.is_refused, &part.answer) {
                    batch.refused.push(RefusedText {
                        position: batch.vectors.len(),
                        reason: error.to_string(),
                    });
                }
                match part.answer {
                    Some(Ok(vectors)) => batch.vectors.extend(vectors.into_iter().map(Some)),
                    Some(Err(error)) => {
                        batch.vectors.extend(std::iter::repeat_n(None, part.size));
                        batch.failures.push(error);
                    }
                    None => batch.vectors.extend(std::iter::repeat_n(None, part.size)),
                }
            }
        }
        let is_about_texts = batch.failures.iter().all(EmbeddingError::is_about_texts);
        let works = batch.embedded() > 0 || (is_proven && is_about_texts);
        if works || batch.failures.is_empty() {
            Ok(batch)
        } else {
            Err(batch.failures.swap_remove(0))
        }
    }

    /// Embeds all `texts`. No request is sent again in parts.
    ///
    /// # Errors
    ///
    /// The first error of a request.
    #[background_job(embedding.generate, target = "batch", batch_size = texts.len())]
    pub(crate) async fn embed_all(
        &self,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let requests = texts
            .chunks(self.request_size)
            .map(|texts| self.request(texts))
            .collect::<Vec<_>>();
        let mut answers = stream::iter(requests).buffered(self.concurrency);
        let mut vectors = Vec::with_capacity(texts.len());
        while let Some(answer) = answers.next().await {
            vectors.extend(answer?);
        }
        Ok(vectors)
    }

    /// Embeds one text, such as a search query.
    pub(crate) async fn embed_one(&self, text: &str) -> Result<Vec<f32>, EmbeddingError> {
        let vectors = self.request(&[text.to_owned()]).await?;
        Ok(vectors.into_iter().next().unwrap_or_default())
    }

    /// Sends one request. If the texts may be the cause of a failure, sends halves of it, larger
    /// parts first, so that few requests fail before one succeeds. Returns the parts in order.
    async fn request_in_parts(&self, texts: &[String]) -> Vec<Part> {
        let mut waiting = VecDeque::from([(0, texts)]);
        let mut answers = Vec::new();
        let (mut succeeded, mut failed) = (false, 0);
        let mut last_error = None;
        while let Some((start, texts)) = waiting.pop_front() {
            if !succeeded && failed >= FAILED_REQUESTS {
                answers.push((start, Part::given_up(texts)));
                continue;
            }
            let answer = self.request(texts).await;
            let is_refused = answer.as_ref().is_err_and(EmbeddingError::is_about_texts);
            succeeded |= answer.is_ok();
            failed += usize::from(is_refused);
            if is_refused && texts.len() > 1 {
                let middle = texts.len() / 2;
                let (first, second) = texts.split_at(middle);
                waiting.extend([(start, first), (start + middle, second)]);
                last_error = answer.err();
            } else {
                answers.push((start, Part::answered(texts, answer)));
            }
        }
        answers.sort_by_key(|(start, _)| *start);
        let mut parts: Vec<Part> = answers.into_iter().map(|(_, part)| part).collect();
        if let Some(part) = parts.iter_mut().find(|part| part.answer.is_none()) {
            part.answer = last_error.map(Err);
        }
        parts
    }

    async fn request(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let vectors = self.provider.embed(texts).await?;
        self.check(texts.len(), &vectors)?;
        Ok(vectors)
    }

    fn check(&self, texts: usize, vectors: &[Vec<f32>]) -> Result<(), EmbeddingError> {
        let wrong = |expected, found| EmbeddingError::WrongShape {
            provider: self.provider.name().to_owned(),
            expected,
            found,
        };
        if vectors.len() != texts {
            return Err(wrong(
                format!("{texts} vectors"),
                format!("{} vectors", vectors.len()),
            ));
        }
        let dimensions = self.provider.dimensions();
        match vectors.iter().find(|vector| vector.len() != dimensions) {
            Some(vector) => Err(wrong(
                format!("{dimensions} dimensions"),
                format!("{} dimensions", vector.len()),
            )),
            None if vectors.iter().flatten().all(|number| number.is_finite()) => Ok(()),
            None => Err(wrong(
                "finite numbers".to_owned(),
                "numbers that are not finite".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::EmbeddingFuture;
    use super::*;

    /// A provider that returns the number in each text, fails on certain texts, and counts
    /// concurrent requests.
    #[derive(Debug, Default)]
    struct Numbers {
        running: AtomicUsize,
        most: AtomicUsize,
    }

    impl EmbeddingProvider for Numbers {
        fn name(&self) -> &'static str {
            "numbers"
        }

        fn dimensions(&self) -> usize {
            1
        }

        fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
            Box::pin(async move {
                let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
                self.most.fetch_max(running, Ordering::Relaxed);
                let first: u64 = texts[0].parse().unwrap_or_default();
                // Later requests finish sooner.
                tokio::time::sleep(std::time::Duration::from_millis(
                    20_u64.saturating_sub(first),
                ))
                .await;
                self.running.fetch_sub(1, Ordering::Relaxed);
                let number = |text: &String| Ok(vec![text.parse::<f32>()?]);
                let failed = |source: std::num::ParseFloatError| EmbeddingError::Provider {
                    provider: "numbers".to_owned(),
                    kind: "connection".into(),
                    source: source.into(),
                };
                texts
                    .iter()
                    .map(number)
                    .collect::<Result<_, _>>()
                    .map_err(failed)
            })
        }
    }

    fn embed(texts: &[&str], embedder: &BatchEmbedder) -> Result<EmbeddedBatch, EmbeddingError> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(embedder.embed_batch(&texts))
    }

    #[test]
    fn results_keep_the_order_of_the_texts_and_requests_their_bound() {
        let provider = Arc::new(Numbers::default());
        let embedder = BatchEmbedder::new(provider.clone())
            .request_size(2)
            .concurrency(2);
        let batch = embed(&["1", "2", "3", "4", "5", "6", "7"], &embedder).unwrap();
        let numbers: Vec<f32> = batch
            .vectors
            .into_iter()
            .map(|vector| vector.unwrap()[0])
            .collect();
        assert_eq!(numbers, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(provider.most.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_failed_request_leaves_a_gap_and_no_more() {
        let embedder = BatchEmbedder::new(Arc::new(Numbers::default())).request_size(2);
        let batch = embed(&["1", "2", "x", "4", "5"], &embedder).unwrap();
        let gaps: Vec<bool> = batch.vectors.iter().map(Option::is_none).collect();
        assert_eq!(gaps, [false, false, true, true, false]);
        assert_eq!(batch.job_status(), JobStatus::Partial);
    }

    #[test]
    fn when_every_request_fails_the_batch_fails() {
        let embedder = BatchEmbedder::new(Arc::new(Numbers::default()));
        assert!(embed(&["x"], &embedder).is_err());
        assert_eq!(embed(&[], &embedder).unwrap().vectors.len(), 0);
    }

    /// A provider that rejects requests with a long text, as endpoints do, and counts requests.
    #[derive(Debug, Default)]
    struct Narrow {
        requests: AtomicUsize,
    }

    impl EmbeddingProvider for Narrow {
        fn name(&self) -> &'static str {
            "narrow"
        }

        fn dimensions(&self) -> usize {
            1
        }

        fn request_size(&self) -> usize {
            16
        }

        fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let refused = EmbeddingError::Provider {
                provider: "narrow".to_owned(),
                kind: "400".into(),
                source: "too long".to_owned().into(),
            };
            #[expect(clippy::cast_precision_loss, reason = "texts here are short")]
            let vectors = texts.iter().map(|text| vec![text.len() as f32]).collect();
            let is_long = texts.iter().any(|text| text.len() > 3);
            Box::pin(std::future::ready(if is_long {
                Err(refused)
            } else {
                Ok(vectors)
            }))
        }
    }

    #[test]
    fn a_text_that_is_refused_costs_no_other_its_vector() {
        let provider = Arc::new(Narrow::default());
        let mut texts = ["ab"; 40];
        (texts[5], texts[20], texts[21]) = ("long", "long", "long");
        let batch = embed(&texts, &BatchEmbedder::new(provider.clone())).unwrap();
        let gaps: Vec<usize> = (0..40).filter(|n| batch.vectors[*n].is_none()).collect();
        assert_eq!((batch.vectors.len(), gaps), (40, vec![5, 20, 21]));
        assert_eq!(batch.failures.len(), 3);
        assert!(provider.requests.load(Ordering::Relaxed) < 24);
    }

    #[test]
    fn a_provider_that_rejects_everything_gets_few_requests() {
        let provider = Arc::new(Narrow::default());
        let error = embed(&["long"; 16], &BatchEmbedder::new(provider.clone())).unwrap_err();
        assert!(error.is_about_texts());
        // 16, 8, 4, 2, 1, 1, 2, 1, and the rest of each.
        assert!(provider.requests.load(Ordering::Relaxed) < 12);
    }

    #[derive(Debug)]
    struct Infinite;

    impl EmbeddingProvider for Infinite {
        fn name(&self) -> &'static str {
            "infinite"
        }

        fn dimensions(&self) -> usize {
            1
        }

        fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
            Box::pin(async move { Ok(texts.iter().map(|_| vec![f32::NAN]).collect()) })
        }
    }

    #[test]
    fn vectors_that_cannot_be_compared_are_refused() {
        let error = embed(&["1"], &BatchEmbedder::new(Arc::new(Infinite))).unwrap_err();
        assert!(
            matches!(error, EmbeddingError::WrongShape { .. }),
            "{error:?}"
        );
    }

    #[derive(Debug)]
    struct Short;

    impl EmbeddingProvider for Short {
        fn name(&self) -> &'static str {
            "short"
        }

        fn dimensions(&self) -> usize {
            3
        }

        fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
            Box::pin(async move { Ok(texts.iter().map(|_| vec![0.0; 2]).collect()) })
        }
    }

    #[test]
    fn vectors_of_another_length_are_refused() {
        let error = embed(&["1"], &BatchEmbedder::new(Arc::new(Short))).unwrap_err();
        assert!(
            matches!(error, EmbeddingError::WrongShape { .. }),
            "{error:?}"
        );
    }
}
