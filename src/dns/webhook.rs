//! An HTTP service of the user's, called as lego's `httpreq` calls it: `POST ENDPOINT/present` and `/cleanup`.
//!
//! <https://go-acme.github.io/lego/dns/httpreq/>, in its default mode: the record's name with its last dot, and its value.

use std::time::Duration;

use anyhow::{anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{Dns, NotPut};
use crate::http::{Answer, Error, Http};
use crate::secret::Redactor;

/// The service, and who we are to it.
pub(super) struct Webhook {
    endpoint: String,
    login: Option<(String, SecretString)>,
    http: Http,
    redactor: Redactor,
}

impl Webhook {
    pub(super) fn new(endpoint: &str, login: Option<(String, SecretString)>, http: Http) -> Self {
        let redactor = Redactor::knowing(login.iter().map(|(_, password)| password.clone()));
        Self { endpoint: endpoint.to_owned(), login, http, redactor }
    }

    async fn present(&self, name: &str, value: &str) -> anyhow::Result<Option<String>> {
        let answer = match self.call("present", name, value).await {
            Ok(answer) => answer,
            Err(error @ (Error::NotSent(_) | Error::Setup(_))) => {
                return Err(NotPut::from(self.unreached("present", &error)).into());
            }
            Err(error) => return Err(self.unreached("present", &error)),
        };
        self.judge("present", &answer).map(|()| None)
    }

    async fn clean_up(&self, name: &str, value: &str) -> anyhow::Result<()> {
        match self.call("cleanup", name, value).await {
            Ok(answer) => self.judge("cleanup", &answer),
            Err(error) => Err(self.unreached("cleanup", &error)),
        }
    }

    async fn call(&self, verb: &str, name: &str, value: &str) -> Result<Answer, Error> {
        let setup = |error: &dyn std::fmt::Display| Error::Setup(error.to_string());
        let url = Url::parse(&format!("{}/{verb}", self.endpoint)).map_err(|e| setup(&e))?;
        let mut request = Request::new(Method::POST, url);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some((user, password)) = &self.login {
            let header = basic(user, password).map_err(|e| setup(&e))?;
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let body = serde_json::json!({ "fqdn": format!("{name}."), "value": value });
        *request.body_mut() = Some(body.to_string().into());
        self.http.send(request, TIMEOUT).await
    }

    fn judge(&self, verb: &str, answer: &Answer) -> anyhow::Result<()> {
        let Answer { status, body, .. } = answer;
        if (200..300).contains(status) {
            return Ok(());
        }
        let said = self.redactor.clean(String::from_utf8_lossy(body).trim());
        let remedy = match status {
            401 | 403 => "check `username` and `password_file` of the `[dns.NAME]`".to_owned(),
            300..=399 => "redirects are not followed: write the last URL as `endpoint`".to_owned(),
            404 | 405 => format!("the service must take POST at `endpoint`/{verb}"),
            _ => "look into the log of the service".to_owned(),
        };
        bail!("{}/{verb} answered HTTP {status}: {said}\nhelp: {remedy}", self.endpoint);
    }

    fn unreached(&self, verb: &str, error: &Error) -> anyhow::Error {
        let endpoint = &self.endpoint;
        anyhow!(
            "{endpoint}/{verb}: {error}\nhelp: check `endpoint` of the `[dns.NAME]`, and that the service runs"
        )
    }
}

impl Dns for Webhook {
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        self.present(name, value).boxed_local()
    }

    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        _id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.clean_up(name, value).boxed_local()
    }
}

/// RFC 7617.
fn basic(user: &str, password: &SecretString) -> anyhow::Result<HeaderValue> {
    let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut header = HeaderValue::from_str(&text)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Services that wait for their provider answer late; what takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
