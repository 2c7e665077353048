//! Encryption as libpq does it: `sslmode` and `sslrootcert` on rustls.
//!
//! Knows certificates only; when to try with and when without is decided by the caller.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How much encryption is asked for, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(()),
        })
    }
}

/// The certificate files of a connection.
pub(super) struct Files<'a> {
    /// A file of trusted roots, or `system`.
    pub(super) roots: Option<&'a str>,
    /// The client's certificate and its key.
    pub(super) client: Option<(&'a str, &'a str)>,
}

/// Builds the encryption for a mode; the error is a sentence.
pub(super) fn connector(mode: SslMode, files: &Files) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let trust = match (mode, files.roots) {
        (SslMode::VerifyFull, roots) => Trust::Name(Roots::load(roots)?),
        // As in libpq: roots that are named are used, even by `require`.
        (SslMode::VerifyCa, roots) | (SslMode::Require, roots @ Some(_)) => {
            if roots == Some("system") {
                return Err("`sslrootcert=system` needs `sslmode=verify-full`".to_owned());
            }
            Trust::Chain(Roots::load(roots)?)
        }
        _ => Trust::Anyone,
    };
    let verifier = Verifier { trust, provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match files.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = read_certificates(Path::new(certificate))?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("the key `{key}` cannot be read: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the certificate `{certificate}` is no use: {error}"))?
        }
    };
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("the certificate file `{}` cannot be read: {error}", path.display());
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| unreadable(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(&error))?;
    if found.is_empty() {
        return Err(unreadable(&"it holds no certificate"));
    }
    Ok(found)
}

/// Trusted certificates.
#[derive(Debug)]
struct Roots {
    store: RootCertStore,
    /// The same as they came: a self-signed server certificate may be its own root.
    plain: Vec<CertificateDer<'static>>,
}

impl Roots {
    fn load(file: Option<&str>) -> Result<Self, String> {
        let plain = match file {
            Some("system") => rustls_native_certs::load_native_certs().certs,
            Some(file) => read_certificates(Path::new(file))?,
            None => {
                return Err("there is no root certificate: neither `sslrootcert` nor ~/.postgresql/root.crt".to_owned());
            }
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(plain.iter().cloned());
        Ok(Self { store, plain })
    }
}

/// Which servers are believed.
#[derive(Debug)]
enum Trust {
    Anyone,
    Chain(Roots),
    Name(Roots),
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (Trust::Chain(roots) | Trust::Name(roots)) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(certificate)?;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &roots.store,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        );
        match signed {
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if roots.plain.iter().any(|root| root == certificate) => {}
            signed => signed?,
        }
        if matches!(self.trust, Trust::Name(_)) {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
