//! Tests with a local endpoint that returns prepared responses.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::otel::attach_trace_context;

/// Answers requests with the next of `answers`, and keeps the requests.
async fn endpoint(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1/embeddings", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await;
            seen.lock().unwrap().push(request);
            if answer.is_empty() {
                // An endpoint that never answers.
                std::future::pending::<()>().await;
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, asked)
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.unwrap();
        bytes.extend(&part[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) || count == 0 {
                return text.into_owned();
            }
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn vectors() -> String {
    let body = r#"{"data":[{"index":1,"embedding":[0.5,1]},{"index":0,"embedding":[-1,0]}]}"#;
    answer("200 OK", "", body)
}

/// Embeds two texts. Returns the result and the requests.
fn embed(answers: Vec<String>) -> (Result<Vec<Vec<f32>>, EmbeddingError>, Vec<String>) {
    embed_with(answers, |options| options)
}

fn embed_with(
    answers: Vec<String>,
    more: impl FnOnce(HttpEmbeddingsOptions) -> HttpEmbeddingsOptions,
) -> (Result<Vec<Vec<f32>>, EmbeddingError>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (address, asked) = endpoint(answers).await;
        let options = HttpEmbeddingsOptions::new(address, "model-1", 2)
            .api_key("the-key")
            .attempts(3)
            .timeout(Duration::from_millis(500))
            .backoff(Duration::from_millis(1));
        let provider = HttpEmbeddings::new(more(options)).unwrap();
        let result = provider.embed(&["one".to_owned(), "two".to_owned()]).await;
        let asked = asked.lock().unwrap().clone();
        (result, asked)
    })
}

fn kind(error: &EmbeddingError) -> String {
    crate::otel::ErrorType::error_type(error).into_owned()
}

#[test]
fn vectors_come_in_the_order_of_the_texts() {
    let (result, asked) = embed(vec![vectors()]);
    assert_eq!(result.unwrap(), [[-1.0, 0.0], [0.5, 1.0]]);
    let request = asked[0].to_lowercase();
    assert!(
        request.starts_with("post /v1/embeddings http/1.1"),
        "{request}"
    );
    assert!(request.contains("authorization: bearer the-key"));
    assert!(
        request.contains(r#""input":["one","two"]"#) && request.contains(r#""model":"model-1""#)
    );
}

#[test]
fn requests_carry_the_trace_context() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let _guard = attach_trace_context(PARENT.parse().ok());
    let (_, asked) = embed(vec![vectors()]);
    assert!(
        asked[0]
            .to_lowercase()
            .contains(&format!("traceparent: {PARENT}")),
        "{}",
        asked[0]
    );
}

#[test]
fn baggage_is_sent_only_if_it_is_enabled() {
    let headers = [("baggage", "tenant=acme")];
    let _guard = attach_trace_context(Some(TraceContext::from_headers_with_baggage(headers)));
    let (_, asked) = embed(vec![vectors()]);
    assert!(!asked[0].to_lowercase().contains("baggage"), "{}", asked[0]);
    let (_, asked) = embed_with(vec![vectors()], |options| options.send_baggage(true));
    assert!(
        asked[0].to_lowercase().contains("baggage: tenant=acme"),
        "{}",
        asked[0]
    );
}

#[test]
fn temporary_errors_are_retried() {
    let busy = || answer("503 Service Unavailable", "", "");
    let (result, asked) = embed(vec![
        answer("429 Too Many Requests", "retry-after: 0\r\n", ""),
        busy(),
        vectors(),
    ]);
    assert_eq!((result.unwrap().len(), asked.len()), (2, 3));
    let (result, asked) = embed(vec![busy(), busy(), busy()]);
    assert_eq!(
        (kind(&result.unwrap_err()), asked.len()),
        ("503".to_owned(), 3)
    );
}

#[test]
fn the_endpoint_sets_the_delay() {
    let start = Instant::now();
    let (result, _) = embed(vec![
        answer("429 Too Many Requests", "retry-after: 1\r\n", ""),
        vectors(),
    ]);
    result.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_rejection_is_final_and_does_not_contain_the_texts() {
    let (result, asked) = embed(vec![answer(
        "400 Bad Request",
        "",
        r#"{"error":"cannot embed `one`"}"#,
    )]);
    let error = result.unwrap_err();
    assert_eq!((kind(&error), asked.len()), ("400".to_owned(), 1));
    assert!(!format!("{error:?} {error}").contains("one`"));
}

#[test]
fn an_endpoint_that_does_not_answer_is_a_timeout() {
    let (result, _) = embed(vec![String::new()]);
    assert_eq!(kind(&result.unwrap_err()), "timeout");
}

#[test]
fn an_endpoint_that_is_not_there_is_a_lost_connection() {
    let (result, _) = embed(vec![]);
    assert_eq!(kind(&result.unwrap_err()), "connection");
}

#[test]
fn an_answer_without_a_vector_for_each_text_is_refused() {
    for body in [
        "",
        "{}",
        r#"{"data":[]}"#,
        r#"{"data":[{"index":7,"embedding":[1]}]}"#,
        r#"{"data":[{"embedding":["a"]}]}"#,
    ] {
        let (result, asked) = embed(vec![answer("200 OK", "", body)]);
        assert_eq!(
            (kind(&result.unwrap_err()), asked.len()),
            ("malformed_answer".to_owned(), 1),
            "{body}"
        );
    }
}

#[test]
fn the_key_is_in_no_debug_output() {
    let options = HttpEmbeddingsOptions::new("http://localhost/", "model-1", 2).api_key("the-key");
    let provider = HttpEmbeddings::new(options.clone()).unwrap();
    assert!(!format!("{options:?} {provider:?}").contains("the-key"));
    for wrong in [
        "not a url",
        "localhost:8080",
        "/v1/embeddings",
        "ftp://localhost/",
    ] {
        let error = HttpEmbeddings::new(HttpEmbeddingsOptions::new(wrong, "m", 1)).unwrap_err();
        assert_eq!(kind(&error), "configuration", "{wrong}");
    }
}

#[test]
fn no_debug_form_and_no_error_has_a_secret() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Nothing listens on port 1.
    for endpoint in [
        "http://user:canary@127.0.0.1:1/v1?api_key=canary",
        "http://user:ca\nary@127.0.0.1:1/a b",
        "ftp://user:canary@127.0.0.1:1",
    ] {
        let options = HttpEmbeddingsOptions::new(endpoint, "model", 2)
            .api_key("canary")
            .attempts(1);
        let mut texts = vec![format!("{options:#?}")];
        match HttpEmbeddings::new(options) {
            Ok(client) => {
                let client: Arc<dyn EmbeddingProvider> = Arc::new(client);
                let options = crate::DatabaseOptions::new().provider(Arc::clone(&client));
                texts.push(format!("{client:#?} {options:#?}"));
                let db = crate::Database::open_with(dir.path(), options).unwrap();
                texts.push(format!("{db:#?}"));
                let error = runtime
                    .block_on(client.embed(&["canary".to_owned()]))
                    .unwrap_err();
                texts.push(chain(&error));
            }
            Err(error) => texts.push(chain(&error)),
        }
        for text in texts {
            let secret = ["canary", "ca\nary", "ca\\nary"];
            let found = secret.iter().find(|secret| text.contains(**secret));
            assert_eq!(found, None, "{text}");
        }
    }
}

/// Returns the messages and the `Debug` of an error and of its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(|error| format!("{error} {error:?}")).collect();
    texts.join(" ")
}
