//! [`KeyBuilder`] and [`KeyReader`]: writing and reading the parts of a key. Field values are in
//! `value`.

use uuid::Uuid;

/// The first byte of every key, the version of the key layout.
pub const KEY_VERSION: u8 = 1;

const ESCAPED: u8 = 0xff;
/// After a zero byte, ends a part.
pub(super) const END: u8 = 0x01;
const ID_LENGTH: usize = 16;
/// The initial capacity of a key: enough for an id and a few names.
const USUAL_LENGTH: usize = 96;

/// A stored key does not have the layout of its column family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stored key is malformed ({0}); the database is damaged, rebuild its indexes or restore a backup"
)]
pub struct MalformedKey(pub(super) &'static str);

/// Builds a key, or the prefix of a scan, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct KeyBuilder {
    pub(super) bytes: Vec<u8>,
}

impl KeyBuilder {
    /// Creates a key without parts.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(USUAL_LENGTH);
        bytes.push(KEY_VERSION);
        Self { bytes }
    }

    /// Appends text or bytes of any length and content.
    pub fn text(mut self, part: impl AsRef<[u8]>) -> Self {
        push_escaped(&mut self.bytes, part.as_ref());
        self
    }

    /// Appends an id.
    pub fn id(mut self, id: Uuid) -> Self {
        self.bytes.extend_from_slice(id.as_bytes());
        self
    }

    /// Returns the bytes of the key.
    pub fn build(self) -> Vec<u8> {
        self.bytes
    }
}

impl Default for KeyBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the parts of a key in order.
#[derive(Debug, Clone)]
pub struct KeyReader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// Creates a reader of `key`.
    ///
    /// # Errors
    ///
    /// [`MalformedKey`] if the key is empty or has an unknown version.
    pub fn new(key: &'a [u8]) -> Result<Self, MalformedKey> {
        match key.split_first() {
            Some((&KEY_VERSION, rest)) => Ok(Self { rest }),
            Some(_) => Err(MalformedKey("unknown key version")),
            None => Err(MalformedKey("empty")),
        }
    }

    /// Reads a part written by [`KeyBuilder::text`].
    pub fn bytes(&mut self) -> Result<Vec<u8>, MalformedKey> {
        let mut part = Vec::new();
        loop {
            let position = self
                .rest
                .iter()
                .position(|&byte| byte == 0)
                .ok_or(MalformedKey("a part has no end"))?;
            part.extend_from_slice(&self.rest[..position]);
            let marker = self.rest.get(position + 1).copied();
            self.rest = self.rest.get(position + 2..).unwrap_or_default();
            match marker {
                Some(ESCAPED) => part.push(0),
                Some(END) => return Ok(part),
                _ => return Err(MalformedKey("a zero byte is followed by neither 01 nor FF")),
            }
        }
    }

    /// Reads a part written by [`KeyBuilder::text`] that must be UTF-8.
    pub fn text(&mut self) -> Result<String, MalformedKey> {
        String::from_utf8(self.bytes()?).map_err(|_| MalformedKey("a part is not UTF-8"))
    }

    /// Reads an id.
    pub fn id(&mut self) -> Result<Uuid, MalformedKey> {
        Ok(Uuid::from_bytes(self.array::<ID_LENGTH>()?))
    }

    /// Returns an error if bytes are left.
    pub fn finish(self) -> Result<(), MalformedKey> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(MalformedKey("bytes follow the last part"))
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedKey> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(MalformedKey("too short"))?;
        self.rest = rest;
        Ok(*head)
    }
}

/// Appends a part so that byte order is kept and no part is a prefix of another.
pub(super) fn push_escaped(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.reserve(part.len() + 2);
    for &byte in part {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(ESCAPED);
        }
    }
    bytes.extend_from_slice(&[0, END]);
}
