//! The metadata service of an ECS instance (IMDS): the temporary keys of the role that is attached to it.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};

use super::super::Account;
use super::super::error::{Error, Kind};
use super::document::{broken, judged, lost, status};
use super::{Credentials, Miss, Setup, Way};
use crate::http::{self, Answer};
use crate::secret::Redactor;

/// The fifth source.
pub(super) fn of_environment(setup: &Setup) -> Result<Way, Miss> {
    let role = setup.env.var("ALIBABA_CLOUD_ECS_METADATA").map(str::to_owned);
    way(setup, role).map_err(|switched_off| Miss::Absent(switched_off.message))
}

/// The role's keys, unless the service is switched off.
pub(super) fn way(setup: &Setup, role: Option<String>) -> Result<Way, Error> {
    if setup.is_true(DISABLED) {
        return Err(broken(
            &format!("switched off by {DISABLED}"),
            &format!("take {DISABLED} away"),
        ));
    }
    Ok(Way::Instance(role))
}

/// Asks for a token (IMDSv2), the role's name and its keys.
pub(super) async fn ask(account: &Account, role: Option<&str>) -> Result<Credentials, Error> {
    let token = token(account).await?;
    let role = match role {
        Some(role) => role.to_owned(),
        None => attached(&look(account, token.as_ref(), "").await?)?,
    };
    let answer = look(account, token.as_ref(), &role).await?;
    judged(&answer, WHO)
}

/// Is it so that there is no such service, or no role, and nothing is broken?
pub(super) fn is_absent(error: &Error) -> bool {
    error.code == NO_SERVICE || error.code == NO_ROLE
}

/// A token; none where the service has none, which is IMDSv1.
async fn token(account: &Account) -> Result<Option<HeaderValue>, Error> {
    let mut request = request(account, Method::PUT, "/latest/api/token", None);
    let life = HeaderValue::from_static(TOKEN_SECONDS);
    let _none_before = request.headers_mut().insert(TOKEN_LIFE, life);
    let answer = match account.inner.http.send_near(request, TIME).await {
        Err(error @ (http::Error::NotSent(_) | http::Error::Setup(_))) => {
            return Err(not_there(account, &error));
        }
        answer => answer,
    };
    let token = answer.as_ref().ok().filter(|answer| answer.status == 200).and_then(|answer| {
        let mut token = HeaderValue::from_bytes(answer.body.trim_ascii()).ok()?;
        token.set_sensitive(true);
        Some(token)
    });
    if token.is_none() && account.inner.setup.is_true(V1_DISABLED) {
        let why = answer
            .map_or_else(|error| lost(&error, WHO).message, |answer| status(&answer, WHO).message);
        let what = format!("{why}: it gives no token (IMDSv2), and {V1_DISABLED} forbids IMDSv1");
        return Err(broken(
            &what,
            &format!("switch IMDSv2 on at the instance, or take {V1_DISABLED} away"),
        ));
    }
    Ok(token)
}

/// Below the folder of the role's keys.
async fn look(account: &Account, token: Option<&HeaderValue>, role: &str) -> Result<Answer, Error> {
    let path = format!("{ROLES}{role}");
    let answer = account.inner.http.send_near(request(account, Method::GET, &path, token), TIME);
    let answer = answer.await.map_err(|error| not_there(account, &error))?;
    match answer.status {
        200 => Ok(answer),
        404 if role.is_empty() => {
            let what = "no RAM role is attached to this instance";
            Err(Error::new(Kind::Credentials, NO_ROLE, what, "attach one in the ECS console"))
        }
        404 => {
            let what = format!("the RAM role `{}` is not attached to this instance", shown(role));
            Err(broken(
                &what,
                "correct the role's name (ALIBABA_CLOUD_ECS_METADATA, ram_role_name), or leave it out",
            ))
        }
        _ => Err(status(&answer, WHO)),
    }
}

/// The name of the role, alone on its line.
fn attached(answer: &Answer) -> Result<String, Error> {
    let text = String::from_utf8_lossy(&answer.body);
    let name = text.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(broken(&format!("{WHO} names no role, but: {}", shown(name)), "see what answers there"))
}

fn request(account: &Account, method: Method, path: &str, token: Option<&HeaderValue>) -> Request {
    let mut url: Url = account.inner.setup.metadata.clone();
    url.set_path(path);
    let mut request = Request::new(method, url);
    if let Some(token) = token {
        let _none_before = request.headers_mut().insert(TOKEN, token.clone());
    }
    request
}

fn not_there(account: &Account, error: &http::Error) -> Error {
    let at = account.inner.setup.metadata.host_str().unwrap_or("?");
    tracing::debug!(%error, "no metadata service");
    let what = format!("no metadata service answers at {at}");
    Error::new(
        Kind::Transport,
        NO_SERVICE,
        &what,
        "this machine may be no ECS instance: give it an AccessKey in another way",
    )
}

/// A few letters of what another says.
fn shown(text: &str) -> String {
    Redactor::default().clean(text).chars().take(LONGEST_NAME).collect()
}

const WHO: &str = "the metadata service";
const NO_SERVICE: &str = "NoMetadataService";
const NO_ROLE: &str = "NoInstanceRole";
const DISABLED: &str = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
const V1_DISABLED: &str = "ALIBABA_CLOUD_IMDSV1_DISABLED";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
const TOKEN: HeaderName = HeaderName::from_static("x-aliyun-ecs-metadata-token");
const TOKEN_LIFE: HeaderName = HeaderName::from_static("x-aliyun-ecs-metadata-token-ttl-seconds");
/// Six hours, the longest; we need it for the next two calls.
const TOKEN_SECONDS: &str = "21600";
/// A second for the connection and one for the answer, as official SDKs have it.
const TIME: Duration = Duration::from_secs(2);
/// A RAM role's name has at most 64 characters (API document of CreateRole).
const LONGEST_NAME: usize = 64;
