//! The document in which STS, the metadata service and a credentials URI hand out a temporary AccessKey.

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::header::HeaderValue;
use reqwest::{Method, Request, Url};
use secrecy::SecretString;
use serde_json::Value;

use super::super::error::{Error, Kind};
use super::super::{Account, text};
use super::{Credentials, Miss};
use crate::http;
use crate::secret::Redactor;

/// AccessKeyId, AccessKeySecret, SecurityToken and Expiration: all four are needed. `who` gave it, for people.
///
/// # Errors
/// What it lacks; nothing of it is told but a code.
pub(super) fn read(document: &Value, who: &str) -> Result<Credentials, Error> {
    if let Some(code) = text(document, "Code").filter(|code| code != "Success") {
        let what = format!("{who} answers {}", Redactor::default().clean(&code));
        return Err(broken(&what, "see that the RAM role that is attached there exists"));
    }
    let field = |name: &str| {
        text(document, name).ok_or_else(|| {
            broken(&format!("the answer of {who} has no {name}"), "see what answers there")
        })
    };
    let expiration = field("Expiration")?;
    let expires = expiration.parse().map_err(|error| {
        let what = format!("the Expiration in the answer of {who} is no time: {error}");
        broken(&Redactor::default().clean(&what), "see what answers there")
    })?;
    Ok(Credentials {
        id: field("AccessKeyId")?,
        secret: SecretString::from(field("AccessKeySecret")?),
        token: Some(SecretString::from(field("SecurityToken")?)),
        expires: Some(expires),
    })
}

/// Asks a credentials URI.
pub(super) async fn ask(account: &Account, uri: &Url) -> Result<Credentials, Error> {
    // The host alone: path and query may be what opens it.
    let who = format!("the credentials URI at {}", uri.host_str().unwrap_or("?"));
    let mut request = Request::new(Method::GET, uri.clone());
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let http = &account.inner.http;
    let answer = match http::is_loopback(uri) || is_link_local(uri) {
        true => http.send_near(request, URI_TIME).await,
        false => http.send(request, URI_TIME).await,
    };
    let answer = answer.map_err(|error| lost(&error, &who))?;
    judged(&answer, &who)
}

/// A URI for credentials: https, or http for this machine and its link-local network.
pub(super) fn uri(written: &str, said_by: &str) -> Result<Url, Miss> {
    let wrong = |what: &str| {
        Miss::broken(&format!("{said_by} {what}"), "write `https://...`, or `http://127.0.0.1...`")
    };
    let uri: Url = written.parse().map_err(|_unshown| wrong("is no URL"))?;
    match uri.scheme() {
        "https" if uri.has_host() => Ok(uri),
        "http" if http::is_loopback(&uri) || is_link_local(&uri) => Ok(uri),
        _ => Err(wrong("must be https: keys come from there")),
    }
}

/// The document of an answer that is one.
pub(super) fn judged(answer: &http::Answer, who: &str) -> Result<Credentials, Error> {
    if answer.status != 200 {
        return Err(status(answer, who));
    }
    let document: Value = serde_json::from_slice(&answer.body).map_err(|_unshown| {
        broken(&format!("the answer of {who} is no JSON"), "see what answers there")
    })?;
    read(&document, who)
}

/// A status that gives nothing; that of a server which failed may pass.
pub(super) fn status(answer: &http::Answer, who: &str) -> Error {
    let what = format!("{who} answers with status {}", answer.status);
    let kind = if answer.status >= 500 { Kind::Server } else { Kind::Credentials };
    Error::new(kind, &format!("Http{}", answer.status), &what, "see what answers there")
}

/// No answer.
pub(super) fn lost(error: &http::Error, who: &str) -> Error {
    let what = format!("{who} gives no answer: {}", Redactor::default().clean(&error.to_string()));
    Error::new(Kind::Transport, "NotReached", &what, "see that this machine reaches it")
}

pub(super) fn broken(what: &str, help: &str) -> Error {
    Error::new(Kind::Credentials, "Credentials", what, help)
}

/// 169.254.0.0/16 (RFC 3927), where containers find such services, and the metadata service's own address.
fn is_link_local(uri: &Url) -> bool {
    let host = uri.host_str().unwrap_or_default();
    let address = host.parse::<std::net::Ipv4Addr>();
    host == "100.100.100.200" || address.is_ok_and(|address| address.is_link_local())
}

/// Official SDKs wait 5 s for the connection and 10 s for the answer.
const URI_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn check(row: &str, document: &str, want: Result<&str, &str>) {
        let got = read(&serde_json::from_str(document).unwrap(), "the service");
        match (got, want) {
            (Ok(key), Ok(want)) => {
                assert_eq!(format!("{} {}", key.id, key.expires.unwrap()), want, "{row}");
            }
            (Err(error), Err(want)) => {
                let text = error.to_string();
                assert!(text.contains(want) && text.contains("help: "), "{row}: {text}");
                assert!(!text.contains("s3cret"), "{row}: {text}");
            }
            (got, want) => panic!("{row}: {got:?}, wanted {want:?}"),
        }
    }

    #[test]
    fn all_four_are_needed() {
        let whole = r#"{"AccessKeyId":"STS.a","AccessKeySecret":"s3cret","SecurityToken":"t","Expiration":"2026-01-02T03:04:05Z","Code":"Success"}"#;
        check("whole", whole, Ok("STS.a 2026-01-02T03:04:05Z"));
        for name in ["AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"] {
            check(name, &whole.replace(name, "Other"), Err(&format!("has no {name}")));
        }
        check("no time", &whole.replace("2026-01-02T", ""), Err("is no time"));
        check("a refusal", &whole.replace("Success", "EntityNotExist.Role"), Err("EntityNotExist"));
        check("nothing", "[]", Err("has no Expiration"));
    }

    #[test]
    fn uris() {
        let check = |text: &str, good: bool| {
            let got = uri(text, "ALIBABA_CLOUD_CREDENTIALS_URI");
            assert_eq!(got.is_ok(), good, "{text}");
            let Err(Miss::Broken(error)) = got else { return };
            assert!(!error.to_string().contains("s3cret"), "{error}");
        };
        check("https://keys.example/x?token=s3cret", true);
        check("http://127.0.0.1:8080/credentials", true);
        check("http://169.254.170.2/credentials", true);
        check("http://100.100.100.200/x", true);
        check("http://192.0.2.1/s3cret", false);
        check("http://keys.example/s3cret", false);
        check("file:///s3cret", false);
        check("s3cret", false);
    }
}
