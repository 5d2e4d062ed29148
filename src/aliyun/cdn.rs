//! The calls of the CDN (API version 2018-05-10).

use base64::Engine;
use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::{Account, Api, Call, Error, Limit, Pages, Product, READ_TIME, all_pages, list, text};

/// What a CDN domain serves (DescribeDomainCertificateInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainCertificate {
    /// ServerCertificateStatus is `on`: HTTPS is switched on.
    pub status_on: bool,
    /// ServerCertificate: the chain, PEM.
    pub certificate_pem: Option<String>,
    /// CertName: its name in the account.
    pub cert_name: Option<String>,
}

/// A CDN domain of the account (DescribeUserDomains).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDomain {
    /// DomainName: `.example.com` for a wildcard.
    pub name: String,
    /// DomainStatus: `online`, `offline`, `configuring`...; empty if the cloud does not say.
    pub status: String,
    /// Cname: where the CDN serves it, if the cloud says.
    pub cname: Option<String>,
}

impl Account {
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
        let answer = self.ask(&call).await?;
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

    /// Does the domain serve this chain's leaf? If nobody can tell, it does not. A short look: it comes between two
    /// attempts of an upload.
    pub(super) async fn serves(&self, api_name: &str, chain_pem: &str) -> bool {
        let soon = Instant::now() + LOOK;
        let account = self.until(Some(self.deadline.map_or(soon, |deadline| deadline.min(soon))));
        let Ok(Some(served)) = account.describe_domain_certificate_info(api_name).await else {
            return false;
        };
        let leaf = served.certificate_pem.as_deref().and_then(leaf_der);
        served.status_on && leaf.is_some() && leaf == leaf_der(chain_pem)
    }
}

impl DomainCertificate {
    pub(super) fn of(value: &Value) -> Self {
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
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(Self {
            name: text(value, "DomainName")?,
            status: text(value, "DomainStatus").unwrap_or_default(),
            cname: text(value, "Cname").filter(|cname| !cname.is_empty()),
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

/// A look after a lost answer: longer, and a second upload is the better use of the time.
const LOOK: Duration = Duration::from_secs(10);

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
