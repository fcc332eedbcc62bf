//! URLs of object stores.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use slatedb::object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use slatedb::object_store::local::LocalFileSystem;
use slatedb::object_store::memory::InMemory;
use slatedb::object_store::path::Path;
use slatedb::object_store::prefix::PrefixStore;
use slatedb::object_store::{self, ClientConfigKey, ObjectStore, RetryConfig};

use super::checked::CheckedStore;
use super::refused::{Refused, may_pass};
use crate::storage::error::OpenError;
use crate::storage::options::StorageOptions;
use crate::storage::url::scheme;

/// How often the client of the object store repeats a request, and for how long. SlateDB repeats
/// what still fails.
const REQUEST_RETRIES: usize = 2;
const REQUEST_PATIENCE: Duration = Duration::from_secs(20);

/// The first pause before a request of percolate's own is repeated, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// A place on an object store.
#[derive(Clone)]
pub(in crate::storage) struct ObjectPlace {
    /// The URL as it was given. It contains no credentials.
    pub(super) url: String,
    pub(super) store: Arc<dyn ObjectStore>,
    /// What all objects of the database begin with.
    pub(super) prefix: Path,
    name: String,
    /// The bucket of S3, `None` for other stores.
    pub(super) bucket: Option<String>,
    address: Option<String>,
    /// The credentials, which errors must not contain.
    secrets: Vec<String>,
    retries: u32,
}

impl ObjectPlace {
    /// Reads a URL, which begins with a scheme and `://`.
    pub(in crate::storage) fn parse(
        url: &str,
        options: &StorageOptions,
    ) -> Result<Self, OpenError> {
        let rest = &url[scheme(url).len() + "://".len()..];
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(OpenError::Url {
                url: format!("{}://…", scheme(url)),
                reason: "the URL must not contain a user or a password; pass credentials with \
                         `object_store_option` or in the environment"
                    .to_owned(),
            });
        }
        let invalid = |reason: String| OpenError::Url {
            url: url.to_owned(),
            reason,
        };
        if url.contains(['?', '#']) {
            return Err(OpenError::Url {
                url: url.split(['?', '#']).next().unwrap_or_default().to_owned(),
                reason: "the URL must not have a query or a fragment; pass options with \
                         `object_store_option`"
                    .to_owned(),
            });
        }
        let prefix = Path::from_url_path(path)
            .map_err(|error| invalid(format!("its path cannot be read ({error})")))?;
        let no_host = |example: &str| {
            if authority.is_empty() {
                Ok(())
            } else {
                Err(invalid(format!(
                    "`{authority}` is in the place of a host; write three slashes: `{example}`"
                )))
            }
        };
        let given = &options.object_store_options;
        let mut secrets = Vec::new();
        let (store, address): (Arc<dyn ObjectStore>, _) = match scheme(url) {
            "s3" => {
                let is_known = |name: &str| name.parse::<AmazonS3ConfigKey>().is_ok();
                given.check(url.as_ref(), "S3", is_known)?;
                s3(authority, options, &mut secrets).map_err(invalid)?
            }
            "file" => {
                no_host("file:///directory")?;
                given.check(url.as_ref(), "`file://`", |_| false)?;
                let files = LocalFileSystem::new().with_fsync(true);
                let store = CheckedStore::of_files(files, &prefix)
                    .map_err(|error| invalid(error.to_string()))?;
                (Arc::new(store), Some(format!("/{prefix}")))
            }
            "memory" => {
                no_host("memory:///name")?;
                given.check(url.as_ref(), "`memory://`", |_| false)?;
                let store = CheckedStore::of_bucket(in_memory(prefix.as_ref()));
                (Arc::new(store), None)
            }
            other => {
                return Err(invalid(format!(
                    "there are no object stores for `{other}://`; use `s3://bucket/prefix`, \
                     `file:///directory` or `memory:///name`"
                )));
            }
        };
        if scheme(url) == "file" && prefix.as_ref().is_empty() {
            return Err(invalid(
                "the directory is missing; write `file:///directory`".to_owned(),
            ));
        }
        let name = match prefix.filename() {
            Some(name) => name.to_owned(),
            None if authority.is_empty() => scheme(url).to_owned(),
            None => authority.to_owned(),
        };
        // SlateDB reads its prefix as a text that is not encoded yet, for most of its objects, and
        // would put these into another place: it gets a prefix that has nothing to encode.
        let (store, prefix) = if Path::from(prefix.as_ref()) == prefix {
            (store, prefix)
        } else {
            let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store, prefix));
            (store, Path::default())
        };
        Ok(Self {
            url: url.to_owned(),
            store,
            prefix,
            name,
            bucket: (scheme(url) == "s3").then(|| authority.to_owned()),
            address,
            secrets,
            retries: options.store_retries,
        })
    }

    /// Returns the last component of the prefix, or else the bucket.
    pub(in crate::storage) fn name(&self) -> String {
        self.name.clone()
    }

    /// Returns the host of the bucket, or the directory.
    pub(in crate::storage) fn address(&self) -> Option<String> {
        self.address.clone()
    }

    /// Returns the place with the directory that is there now.
    pub(super) fn reopened(&self, options: &StorageOptions) -> Result<Self, OpenError> {
        if scheme(&self.url) == "file" {
            Self::parse(&self.url, options)
        } else {
            Ok(self.clone())
        }
    }

    /// Returns whether the directory of the database is a file.
    pub(super) fn is_file(&self) -> bool {
        let directory = self.address.as_ref().map(PathBuf::from);
        directory.is_some_and(|directory| directory.is_file())
    }

    /// Returns the URL as a path, for errors.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(&self.url)
    }

    /// Sends a request to the object store, and repeats it while it may succeed later, as SlateDB
    /// repeats its own requests.
    pub(super) async fn request<T, R>(&self, send: impl Fn() -> R) -> object_store::Result<T>
    where
        R: Future<Output = object_store::Result<T>>,
    {
        let [mut pause, longest] = PAUSES;
        for _ in 0..self.retries {
            match send().await {
                Err(error) if may_pass(&error) => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause = longest.min(2 * pause);
        }
        send().await
    }

    /// Returns the text of an error of a request without credentials.
    pub(super) fn explain(&self, error: &(dyn StdError + 'static)) -> String {
        match Refused::find(error) {
            Some(refused) => self.describe(refused),
            None => self.describe(error),
        }
    }

    /// Returns the text of an error without credentials. Object stores repeat parts of the request in
    /// the bodies of their answers, the access key among them.
    pub(super) fn describe(&self, error: &dyn fmt::Display) -> String {
        let mut text = summarized(&error.to_string());
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(&**secret, "…");
        }
        text
    }

    /// Returns the place of a file that belongs to the database.
    pub(super) fn file(&self, name: &str) -> Path {
        let parts = self.prefix.parts().map(|part| part.as_ref().to_owned());
        parts.chain(name.split('/').map(str::to_owned)).collect()
    }
}

impl fmt::Debug for ObjectPlace {
    /// Without the store, which knows the credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ObjectPlace")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Returns a bucket of S3 and its host. Options that are not given come from the environment. The
/// error is a reason without credentials.
fn s3(
    bucket: &str,
    options: &StorageOptions,
    secrets: &mut Vec<String>,
) -> Result<(Arc<dyn ObjectStore>, Option<String>), String> {
    if bucket.is_empty() {
        return Err("the bucket is missing; write `s3://bucket/prefix`".to_owned());
    }
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if !bucket.bytes().all(of_names) {
        return Err(format!("`{bucket}` is not the name of a bucket"));
    }
    // Another part of the program may have chosen one already.
    _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    for (name, value) in options.object_store_options.iter() {
        if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let value = |key| builder.get_config_value(&key);
    let credentials = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::SecretAccessKey,
        AmazonS3ConfigKey::Token,
    ];
    for key in credentials.into_iter().chain([AmazonS3ConfigKey::Region]) {
        let Some(text) = value(key) else {
            continue;
        };
        // The client of S3 panics when it puts such a text into a header.
        if text.contains(|letter: char| !letter.is_ascii_graphic()) {
            return Err(format!(
                "the value of `{}` contains a space, a line break or a character that is not ASCII",
                key.as_ref()
            ));
        }
        if key != AmazonS3ConfigKey::Region {
            secrets.push(text);
        }
    }
    let address = if let Some(endpoint) = value(AmazonS3ConfigKey::Endpoint) {
        let allowed = value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
        let allowed = allowed.unwrap_or_default().to_ascii_lowercase();
        let is_allowed = ["1", "true", "on", "yes", "y"].contains(&&*allowed);
        let authority = checked_authority(&endpoint, is_allowed)?;
        host(authority).to_owned()
    } else {
        let region = value(AmazonS3ConfigKey::Region);
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        format!("{bucket}.s3.{region}.amazonaws.com")
    };
    let builder = builder.with_retry(RetryConfig {
        max_retries: REQUEST_RETRIES,
        retry_timeout: REQUEST_PATIENCE,
        ..RetryConfig::default()
    });
    let store = builder.build().map_err(|error| {
        let mut text = error.to_string();
        for (name, value) in options.object_store_options.iter() {
            let named = format!("the value of `{name}`");
            text = text.replace(&format!("\"{value}\""), &named);
            if value.len() > 3 {
                text = text.replace(value, &named);
            }
        }
        format!("the options of S3 are incomplete or malformed ({text})")
    })?;
    let store = CheckedStore::of_bucket(Arc::new(store));
    Ok((Arc::new(store), Some(address)))
}

/// Replaces the XML document that S3 answers with by its code and its message.
fn summarized(text: &str) -> String {
    let Some(start) = text.find("<?xml").or_else(|| text.find("<Error>")) else {
        return text.to_owned();
    };
    let end = text.rfind("</Error>");
    let end = end.map_or(text.len(), |end| end + "</Error>".len());
    let (before, document) = text.split_at(start);
    let (document, after) = document.split_at(end.saturating_sub(start));
    let element = |name: &str| {
        let (_, rest) = document.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0)
    };
    let parts: Vec<_> = ["Code", "Message"]
        .into_iter()
        .filter_map(element)
        .collect();
    let summary = if parts.is_empty() {
        "no code".to_owned()
    } else {
        parts.join(": ")
    };
    format!("{before}{summary}{after}")
}

/// Returns the host and the port of an endpoint such as `http://127.0.0.1:9000`. Refuses endpoints that
/// no request can be sent to, and those with credentials, which would appear in errors.
fn checked_authority(endpoint: &str, is_http_allowed: bool) -> Result<&str, String> {
    let not_in_urls = |letter: char| !letter.is_ascii_graphic() || "\"<>\\^`{|}".contains(letter);
    let authority = endpoint
        .split_once("://")
        .map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    let reason = match authority {
        None | Some("") => "is not a URL such as `https://s3.example.com`",
        Some(_) if endpoint.contains(not_in_urls) => {
            "contains a character that a URL cannot have, such as a space or a line break"
        }
        Some(authority) if authority.contains('@') => "must not contain a user or a password",
        Some(_) if endpoint.starts_with("http://") && !is_http_allowed => {
            "begins with `http://`; set `aws_allow_http` to `true`, or use `https://`"
        }
        Some(authority) => return Ok(authority),
    };
    Err(format!("the value of `aws_endpoint` {reason}"))
}

/// Returns the host of an authority such as `127.0.0.1:9000`.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

type Stores = HashMap<String, Weak<dyn ObjectStore>>;

/// The stores in memory of this process that are in use.
static IN_MEMORY: Mutex<Option<Stores>> = Mutex::new(None);

/// Returns the store in memory with this name, which exists as long as a handle of it. A store
/// without a name is always a new one.
fn in_memory(name: &str) -> Arc<dyn ObjectStore> {
    let new = || Arc::new(InMemory::new()) as Arc<dyn ObjectStore>;
    if name.is_empty() {
        return new();
    }
    let mut stores = IN_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.get_or_insert_default();
    stores.retain(|_, store| store.strong_count() > 0);
    if let Some(store) = stores.get(name).and_then(Weak::upgrade) {
        return store;
    }
    let store = new();
    stores.insert(name.to_owned(), Arc::downgrade(&store));
    store
}

/// Makes `store` the one with this name, as long as a handle of it exists.
#[cfg(test)]
pub(super) fn register(name: &str, store: &Arc<dyn ObjectStore>) {
    let mut stores = IN_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.get_or_insert_default();
    stores.insert(name.to_owned(), Arc::downgrade(store));
}
