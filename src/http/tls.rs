//! A TLS handshake and nothing after it: what an address serves for a name. Nothing is trusted here; the caller judges.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The addresses of a host by the system's resolver; an address is its own. In the order in which they are to be tried.
///
/// # Errors
/// The host has none, or nobody told within `patience`; why.
pub async fn addresses(
    host: &str,
    port: u16,
    patience: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(patience, tokio::net::lookup_host((host, port))).await;
    let mut addresses: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(format!("{host}: {error}")),
        Err(_elapsed) => return Err(format!("{host}: no address within {patience:?}")),
    };
    addresses.dedup();
    if addresses.is_empty() { Err(format!("{host}: it has no address")) } else { Ok(addresses) }
}

/// The chain (DER, leaf first) that this address serves for `name` (SNI, RFC 6066, 3). That it has the leaf's key is
/// proved by the handshake; whether anybody trusts the chain is not asked.
///
/// # Errors
/// No connection or no handshake within `patience`; why.
pub async fn served(
    address: SocketAddr,
    name: &str,
    patience: Duration,
) -> Result<Vec<Vec<u8>>, String> {
    match tokio::time::timeout(patience, handshake(address, name)).await {
        Ok(chain) => chain,
        Err(_elapsed) => Err(format!("no TLS within {patience:?}")),
    }
}

async fn handshake(address: SocketAddr, name: &str) -> Result<Vec<Vec<u8>>, String> {
    let config = config()?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let socket = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config).connect(name, socket);
    let stream = stream.await.map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.iter().map(|der| der.to_vec()).collect())
}

/// Built once. No session is resumed: a resumed one shows no certificate.
fn config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(|| build().map(Arc::new)).clone()
}

fn build() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let witness = Witness(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(witness))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes every chain, so that it can be looked at, but none without its key.
#[derive(Debug)]
struct Witness(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _issuers: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_server_that_says_nothing_is_left() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let patience = Duration::from_millis(50);
        let shown = served(address, "cdn.example.com", patience).await;
        assert_eq!(shown, Err("no TLS within 50ms".to_owned()));
        let shown = served(address, "no name", patience).await;
        assert!(shown.is_err_and(|why| why.contains("name")));
    }

    #[tokio::test]
    async fn an_address_is_its_own() {
        let patience = Duration::from_secs(60);
        for (host, want) in [("127.0.0.1", "127.0.0.1:7"), ("::1", "[::1]:7")] {
            assert_eq!(addresses(host, 7, patience).await.unwrap(), [want.parse().unwrap()]);
        }
        let named = addresses("localhost", 7, patience).await.unwrap();
        assert!(named.iter().all(|address| address.ip().is_loopback()), "{named:?}");
    }
}
