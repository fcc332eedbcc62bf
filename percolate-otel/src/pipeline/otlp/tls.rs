//! TLS of both transports: the trusted certificates and the client certificate, from the same
//! settings. Files are read when the exporter is created, so that a wrong path is an error of
//! `install` and not a failed export later.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::super::error::TelemetryError;
use super::super::settings::OtlpSettings;
use super::endpoint::failed;
use crate::http_client;

fn read(settings: &OtlpSettings, path: &Path) -> Result<Vec<u8>, TelemetryError> {
    let signal = settings.signal.name();
    std::fs::read(path).map_err(|source| TelemetryError::TlsFile {
        signal,
        path: path.to_owned(),
        source,
    })
}

/// Returns the configuration for gRPC.
pub(super) fn for_tonic(settings: &OtlpSettings) -> Result<ClientTlsConfig, TelemetryError> {
    let mut tls = match &settings.certificate {
        Some(path) => {
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(settings, path)?))
        }
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    if let Some((certificate, key)) = &settings.identity {
        tls = tls.identity(Identity::from_pem(
            read(settings, certificate)?,
            read(settings, key)?,
        ));
    }
    Ok(tls)
}

/// Returns the configuration for HTTP.
pub(super) fn for_http(settings: &OtlpSettings) -> Result<ClientConfig, TelemetryError> {
    let config = http_client::tls_builder().map_err(|error| failed(settings, error.to_string()))?;
    let config = if let Some(path) = &settings.certificate {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(settings, path)? {
            roots
                .add(certificate)
                .map_err(|error| bad_pem(settings, path, &error.to_string()))?;
        }
        config.with_root_certificates(roots)
    } else {
        http_client::with_system_roots(config).map_err(|error| {
            failed(
                settings,
                format!(
                    "the system has no trusted certificates ({error}); set \
                     OTEL_EXPORTER_OTLP_CERTIFICATE to a PEM file"
                ),
            )
        })?
    };
    let Some((certificate, key)) = &settings.identity else {
        return Ok(config.with_no_client_auth());
    };
    let key_der = PrivateKeyDer::from_pem_slice(&read(settings, key)?)
        .map_err(|error| bad_pem(settings, key, &error.to_string()))?;
    let config = config.with_client_auth_cert(certificates(settings, certificate)?, key_der);
    config.map_err(|error| bad_pem(settings, certificate, &error.to_string()))
}

fn certificates(
    settings: &OtlpSettings,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TelemetryError> {
    let certificates =
        CertificateDer::pem_slice_iter(&read(settings, path)?).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(bad_pem(settings, path, "it contains no certificate"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(bad_pem(settings, path, &error.to_string())),
    }
}

fn bad_pem(settings: &OtlpSettings, path: &Path, problem: &str) -> TelemetryError {
    failed(
        settings,
        format!("`{}` is not a valid PEM file: {problem}", path.display()),
    )
}
