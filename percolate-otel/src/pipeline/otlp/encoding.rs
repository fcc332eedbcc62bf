//! The messages of OTLP as bytes: protobuf, or JSON over HTTP.

use prost::Message;
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;

use super::super::otlp_options::OtlpProtocol;

/// How messages are encoded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    pub(super) fn of(protocol: OtlpProtocol) -> Self {
        match protocol {
            OtlpProtocol::Grpc | OtlpProtocol::HttpProtobuf => Self::Protobuf,
            OtlpProtocol::HttpJson => Self::Json,
        }
    }

    pub(super) fn encode(self, message: &(impl Message + Serialize)) -> Result<Vec<u8>, String> {
        match self {
            Self::Protobuf => Ok(message.encode_to_vec()),
            Self::Json => serde_json::to_vec(message)
                .map_err(|error| format!("cannot encode the request as JSON: {error}")),
        }
    }

    /// Decodes a response. The data is accepted even if the response is invalid.
    pub(super) fn decode<M: Message + Default + DeserializeOwned>(self, response: &[u8]) -> M {
        match self {
            Self::Protobuf => M::decode(response).unwrap_or_default(),
            Self::Json => serde_json::from_slice(response).unwrap_or_default(),
        }
    }
}
