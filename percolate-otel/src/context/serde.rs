//! Trace contexts in messages: a [`TraceContext`] is a map of its headers, a [`Traced`] value is
//! `{"value": …, "trace": {headers}}`, in W3C form under any propagators. Baggage is written only on request, and is not read. To accept
//! it, read a map of headers and pass it to [`TraceContext::from_headers_with_baggage`].
//!
//! Invalid headers are not an error when a message is read; another structure is.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde_core::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_core::ser::{Serialize, SerializeStruct as _, Serializer};

use super::carry::Traced;
use super::formats::Formats;
use super::trace_context::TraceContext;

const VALUE: &str = "value";
const TRACE: &str = "trace";

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.written(Formats::DEFAULT))
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let headers = HashMap::<String, String>::deserialize(deserializer)?;
        let mut headers: Vec<(String, String)> = headers.into_iter().collect();
        headers.sort();
        Ok(TraceContext::read(headers, Formats::TRACE_CONTEXT))
    }
}

impl<T: Serialize> Serialize for Traced<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = serializer.serialize_struct("Traced", 2)?;
        message.serialize_field(VALUE, self.value())?;
        message.serialize_field(TRACE, &self.context().unwrap_or_default())?;
        message.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Traced<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Traced", &[VALUE, TRACE], MessageVisitor(PhantomData))
    }
}

struct MessageVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MessageVisitor<T> {
    type Value = Traced<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with `value` and, unless its sender was not traced, `trace`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut value, mut context) = (None, TraceContext::default());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                VALUE => value = Some(map.next_value()?),
                TRACE => context = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let value = value.ok_or_else(|| de::Error::missing_field(VALUE))?;
        Ok(Traced::received(value, &context))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let value = seq
            .next_element()?
            .ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let context = seq.next_element::<TraceContext>()?.unwrap_or_default();
        Ok(Traced::received(value, &context))
    }
}
