//! The calls of the CDN (API version 2018-05-10).

use base64::Engine;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::{Duration, Instant};

use super::{
    Account, Api, Call, Error, Limit, Pages, Product, READ_TIME, UPLOAD_TIME, all_pages, list, text,
};

/// A certificate and its key, on the way to a CDN domain.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// The CDN domain as the API names it: `.example.com` for `*.example.com`.
    pub api_name: &'a str,
    /// The certificate's name in the account; see [`cert_name`].
    pub cert_name: &'a str,
    /// The chain, PEM, leaf first.
    pub chain_pem: &'a str,
    /// The key, PEM, PKCS#1 or SEC1.
    pub key_pem: &'a SecretString,
}

/// The cloud took an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its RequestId. Empty where the answer was lost, and a look showed that the upload had its effect.
    pub request_id: String,
    /// How often it was sent.
    pub attempts: u32,
}

/// What a CDN domain serves (DescribeDomainCertificateInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainCertificate {
    /// ServerCertificateStatus is `on`: HTTPS is switched on.
    pub status_on: bool,
    /// ServerCertificate: the chain, PEM.
    pub certificate_pem: Option<String>,
    /// CertName: the certificate's name in the account.
    pub cert_name: Option<String>,
}

/// A CDN domain of the account (DescribeUserDomains).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDomain {
    /// DomainName: `.example.com` for a wildcard.
    pub name: String,
    /// DomainStatus: `online`, `offline`, `configuring`...; empty if the cloud does not say.
    pub status: String,
}

/// The name that a certificate gets in the account: made of the target, so that it is unique there and an upload
/// replaces the one before. `cf-`, the domain with dots and star made plain, `-`, and 8 hex digits of its SHA-256; at
/// most 63 of `[A-Za-z0-9._-]` (the least of the documented limits).
#[must_use]
pub fn cert_name(api_name: &str) -> String {
    let plain = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => letter,
        _ => '-',
    };
    let readable: String =
        api_name.trim_start_matches(['*', '.']).chars().map(plain).take(READABLE).collect();
    let digest = Sha256::digest(api_name.as_bytes());
    let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("cf-{readable}-{hex}")
}

impl Account {
    /// Uploads a certificate onto a CDN domain and switches HTTPS on (SetDomainServerCertificate, `CertType=upload`,
    /// `ForceSet=1`). Doing it twice is doing it once; when an answer is lost, a look comes before a second time.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn set_domain_server_certificate(
        &self,
        upload: &Upload<'_>,
    ) -> Result<Accepted, Error> {
        let params = [
            ("DomainName", upload.api_name),
            ("ServerCertificateStatus", "on"),
            ("CertType", "upload"),
            ("CertName", upload.cert_name),
            ("ServerCertificate", upload.chain_pem),
            ("PrivateKey", upload.key_pem.expose_secret()),
            ("ForceSet", "1"),
        ];
        let call = Call {
            api: &SET_DOMAIN_SERVER_CERTIFICATE,
            params: &params,
            subject: upload.api_name,
            secret: Some(upload.key_pem),
        };
        let done = self.insist(&call, async || self.serves(upload).await).await?;
        let request_id = text(&done.value, "RequestId").unwrap_or_default();
        Ok(Accepted { request_id, attempts: done.attempts })
    }

    /// What the CDN domain serves; none: the cloud knows of nothing.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn describe_domain_certificate_info(
        &self,
        api_name: &str,
    ) -> Result<Option<DomainCertificate>, Error> {
        let call = Call {
            api: &DESCRIBE_DOMAIN_CERTIFICATE_INFO,
            params: &[("DomainName", api_name)],
            subject: api_name,
            secret: None,
        };
        let answer = self.ask(&call).await?.value;
        Ok(list(&answer, "CertInfos", "CertInfo").first().map(DomainCertificate::of))
    }

    /// All CDN domains of the account.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn describe_user_domains(&self) -> Result<Vec<UserDomain>, Error> {
        let pages = Pages {
            api: &DESCRIBE_USER_DOMAINS,
            subject: "*",
            size: 500,
            outer: "Domains",
            inner: "PageData",
        };
        let domains = all_pages(self, &pages, &[]).await?;
        Ok(domains.iter().filter_map(UserDomain::of).collect())
    }

    /// Did an upload whose answer was lost have its effect? If nobody can tell, it had not.
    async fn serves(&self, upload: &Upload<'_>) -> bool {
        let soon = Instant::now() + LOOK;
        let account = self.until(Some(self.deadline.map_or(soon, |deadline| deadline.min(soon))));
        let Ok(Some(served)) = account.describe_domain_certificate_info(upload.api_name).await
        else {
            return false;
        };
        let leaf = served.certificate_pem.as_deref().and_then(leaf_der);
        served.status_on && leaf.is_some() && leaf == leaf_der(upload.chain_pem)
    }
}

impl DomainCertificate {
    fn of(value: &Value) -> Self {
        let certificate_pem = text(value, "ServerCertificate");
        // Every field is optional: a certificate alone says that HTTPS is on.
        let status_on = match text(value, "ServerCertificateStatus") {
            Some(status) => status == "on",
            None => certificate_pem.is_some(),
        };
        Self { status_on, certificate_pem, cert_name: text(value, "CertName") }
    }
}

impl UserDomain {
    fn of(value: &Value) -> Option<Self> {
        Some(Self {
            name: text(value, "DomainName")?,
            status: text(value, "DomainStatus").unwrap_or_default(),
        })
    }
}

/// The first certificate of PEM text, whatever the cloud made of its line ends.
fn leaf_der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

/// 63, less `cf-`, a dash and 8 digits.
const READABLE: usize = 51;
/// A look after a lost answer: longer, and a second upload is the better use of the time.
const LOOK: Duration = Duration::from_secs(10);

/// Documented: 10 calls a second and user.
static SET_DOMAIN_SERVER_CERTIFICATE: Api = Api {
    product: Product::Cdn,
    action: "SetDomainServerCertificate",
    limit: Limit::Uploads,
    timeout: UPLOAD_TIME,
};
static DESCRIBE_DOMAIN_CERTIFICATE_INFO: Api = Api {
    product: Product::Cdn,
    action: "DescribeDomainCertificateInfo",
    limit: Limit::PerSecond(100),
    timeout: READ_TIME,
};
static DESCRIBE_USER_DOMAINS: Api = Api {
    product: Product::Cdn,
    action: "DescribeUserDomains",
    limit: Limit::PerSecond(100),
    timeout: READ_TIME,
};

#[cfg(test)]
mod tests;
