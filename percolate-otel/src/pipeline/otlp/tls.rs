//! TLS of both transports from the same settings: which authorities to trust, and who we are. Files are read when the
//! exporter is made, so that a wrong path is an error at once and not a failing export later.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::super::error::TelemetryError;
use super::super::settings::OtlpSettings;
use super::failed;

fn read(settings: &OtlpSettings, path: &Path) -> Result<Vec<u8>, TelemetryError> {
    let signal = settings.signal.name();
    std::fs::read(path).map_err(|source| TelemetryError::TlsFile {
        signal,
        path: path.to_owned(),
        source,
    })
}

/// For gRPC.
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

/// For HTTP.
pub(super) fn for_hyper(settings: &OtlpSettings) -> Result<ClientConfig, TelemetryError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(settings, error.to_string()))?;
    let config = if let Some(path) = &settings.certificate {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(settings, path)? {
            roots
                .add(certificate)
                .map_err(|error| bad_pem(settings, path, &error.to_string()))?;
        }
        config.with_root_certificates(roots)
    } else {
        use hyper_rustls::ConfigBuilderExt as _;
        config.with_native_roots().map_err(|error| {
            failed(
                settings,
                format!("the system has no trusted certificates ({error}); name a file of them"),
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
            Err(bad_pem(settings, path, "it holds no certificate"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(bad_pem(settings, path, &error.to_string())),
    }
}

fn bad_pem(settings: &OtlpSettings, path: &Path, problem: &str) -> TelemetryError {
    failed(
        settings,
        format!("`{}` is no usable PEM file: {problem}", path.display()),
    )
}
