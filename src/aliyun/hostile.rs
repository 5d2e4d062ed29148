//! Any bytes as an answer of the cloud, of STS, of the metadata service, of a credentials URI and of a program.

use reqwest::header::HeaderMap;

use super::cdn::{DomainCertificate, UserDomain};
use super::error::{About, judge};
use super::{credentials, list};
use crate::hostile::assert_tame;
use crate::http::Answer;
use crate::secret::Redactor;

/// The first byte chooses the status, the rest is the body.
pub(crate) fn answer(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let status = STATUSES[usize::from(*first) % STATUSES.len()];
    let answer = Answer { status, headers: HeaderMap::new(), body: body.to_vec() };
    let about = About {
        account: "default",
        key: "LTAI",
        action: "cdn:SetDomainServerCertificate",
        resource: "acs:cdn:*:*:domain/cdn.example.com",
        subject: "cdn.example.com",
    };
    let ours = "POST&%2F&PrivateKey%3Dcanary-of-the-fuzzer";
    match judge(&answer, ours, &Redactor::knowing([CANARY.into()]), &about) {
        Ok(json) => {
            list(&json, "CertInfos", "CertInfo").iter().map(DomainCertificate::of).for_each(drop);
            list(&json, "Domains", "PageData").iter().filter_map(UserDomain::of).for_each(drop);
        }
        Err(failure) => {
            let error = failure.error;
            assert_tame(&format!("{}{}{}", error.code, error.message, error.help));
            let told = format!("{error:?}").to_ascii_lowercase();
            assert!(!told.contains(CANARY), "the secret is told: {told}");
        }
    }
    credentials::hostile::answer(&answer);
}

const CANARY: &str = "canary-of-the-fuzzer";

const STATUSES: [u16; 8] = [200, 400, 403, 404, 429, 500, 503, 301];

/// How an AccessKey is printed that has this secret, also as its token.
#[cfg(test)]
pub(crate) fn credentials_shown(secret: &str) -> String {
    let token = Some(secret.into());
    let key = credentials::Credentials {
        id: "LTAI".to_owned(),
        secret: secret.into(),
        token,
        expires: None,
    };
    format!("{key:?}")
}
