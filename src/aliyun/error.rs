//! What an answer means: the typed error, judged by the cloud's Code first and the HTTP status second.

use std::time::Duration;

use serde_json::Value;

use super::codes::{ROWS, Row, STS};
use super::retry::Again;
use crate::http::{self, Answer};
use crate::secret::Redactor;

/// Why a call failed. `Display` has the remedy in a line `help: ...`; no part of it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What to do about it.
    pub kind: Kind,
    /// The cloud's Code; ours where the cloud gave none (`NotReached`, `NoAnswer`, `Http502`...).
    pub code: String,
    /// What is wrong: our sentence, then the cloud's words, redacted.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The cloud's RequestId, for its support.
    pub request_id: Option<String>,
    /// How often the call was sent.
    pub attempts: u32,
}

/// Kinds of failure, as those who go on need to know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The cloud was never reached: the call had no effect.
    Transport,
    /// The call may have had its effect.
    UnknownOutcome,
    /// Too many calls.
    Throttled,
    /// ServiceBusy, SystemUpgrading: the domain is being configured.
    Busy,
    /// The cloud failed within.
    Server,
    /// This machine's clock is off.
    Clock,
    /// No AccessKey, or a wrong one.
    Credentials,
    /// RAM does not allow it.
    Permission,
    /// The domain is not of this account.
    DomainNotFound,
    /// The cloud does not know the call.
    NoSuchApi,
    /// Stored, and not live (Certificate.SettedNotEffect).
    NotEffective,
    /// Our settings are wrong.
    Config,
    /// Refused for good.
    Permanent,
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) again: Again,
    /// Not before: the cloud's own word.
    pub(super) told: Option<Duration>,
    /// The call may have had its effect all the same.
    pub(super) unsure: bool,
}

/// What a call is about, for the words of an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// Name of the `[aliyun.NAME]`.
    pub(super) account: &'a str,
    /// AccessKey ID.
    pub(super) key: &'a str,
    /// RAM's name of the action: `cdn:SetDomainServerCertificate`.
    pub(super) action: &'a str,
    /// RAM's name of what it acts on.
    pub(super) resource: &'a str,
    /// The domain or zone, as people know it.
    pub(super) subject: &'a str,
}

impl Error {
    /// An error of our own, before or beside any call.
    pub(super) fn new(kind: Kind, code: &str, message: &str, help: &str) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.to_owned(),
            help: help.to_owned(),
            request_id: None,
            attempts: 0,
        }
    }

    /// 'Never reached' is true of a call only if no attempt before may have had its effect.
    pub(super) fn after(self, unsure: bool) -> Self {
        let unknown = unsure && self.kind == Kind::Transport;
        Self { kind: if unknown { Kind::UnknownOutcome } else { self.kind }, ..self }
    }

    /// Would the next tick have a chance, with nobody doing anything?
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self.kind {
            Kind::Transport
            | Kind::UnknownOutcome
            | Kind::Throttled
            | Kind::Busy
            | Kind::Server
            | Kind::Clock
            | Kind::NotEffective => true,
            Kind::Credentials
            | Kind::Permission
            | Kind::DomainNotFound
            | Kind::NoSuchApi
            | Kind::Config
            | Kind::Permanent => false,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(request_id) = &self.request_id {
            write!(f, " (RequestId {request_id})")?;
        }
        write!(f, "\nhelp: {}", self.help)
    }
}

impl std::error::Error for Error {}

impl Failure {
    /// It would fail again.
    pub(super) fn for_good(error: Error) -> Self {
        Self { error, again: Again::Never, told: None, unsure: false }
    }

    /// No answer.
    pub(super) fn lost(error: &http::Error, redactor: &Redactor, about: &About<'_>) -> Self {
        let (kind, code, again, help) = match error {
            http::Error::NotSent(_) => (Kind::Transport, "NotReached", Again::Soon, NETWORK),
            http::Error::Unknown(_) => (Kind::UnknownOutcome, "NoAnswer", Again::Soon, NETWORK),
            http::Error::TooLarge(_) => {
                (Kind::UnknownOutcome, "AnswerTooLarge", Again::Never, ENDPOINT)
            }
            http::Error::Setup(_) => (Kind::Config, "HttpSetup", Again::Never, ENDPOINT),
        };
        let unsure = kind == Kind::UnknownOutcome;
        let error = Error::new(kind, code, &redactor.clean(&error.to_string()), &about.fill(help));
        Self { error, again, told: None, unsure }
    }
}

impl About<'_> {
    fn fill(&self, text: &str) -> String {
        text.replace("{account}", self.account)
            .replace("{key}", self.key)
            .replace("{action}", self.action)
            .replace("{resource}", self.resource)
            .replace("{subject}", self.subject)
    }
}

/// The answer's JSON, if it is a success. `ours` is the StringToSign of the request.
pub(super) fn judge(
    answer: &Answer,
    ours: &str,
    redactor: &Redactor,
    about: &About<'_>,
) -> Result<Value, Box<Failure>> {
    let json = serde_json::from_slice::<Value>(&answer.body).ok().filter(Value::is_object);
    let said = Said::of(json.as_ref(), &answer.body);
    let successful = (200..300).contains(&answer.status);
    match (json, &said.code) {
        (Some(json), None) if successful => Ok(json),
        (_, Some(code)) => Err(Box::new(coded(code, &said, answer, ours, redactor, about))),
        (_, None) => Err(Box::new(codeless(answer, &said, redactor, about))),
    }
}

/// What an error's answer says, in JSON or in XML, in either case of its names.
struct Said {
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    /// RAM's name of the action that is not allowed (AccessDeniedDetail.AuthAction).
    auth_action: Option<String>,
}

impl Said {
    fn of(json: Option<&Value>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let field = |upper: &str, lower: &str| match json {
            Some(json) => super::text(json, upper).or_else(|| super::text(json, lower)),
            None => xml_field(&text, upper),
        };
        let auth_action = json
            .and_then(|json| json.get("AccessDeniedDetail"))
            .and_then(|detail| super::text(detail, "AuthAction"));
        Self {
            // some products say so of a success
            code: field("Code", "code").filter(|code| !SUCCESS.contains(&code.as_str())),
            message: field("Message", "message").unwrap_or_default(),
            request_id: field("RequestId", "requestId").filter(|id| is_plain(id)),
            auth_action: auth_action.filter(|action| is_plain(action)),
        }
    }
}

fn coded(
    code: &str,
    said: &Said,
    answer: &Answer,
    ours: &str,
    redactor: &Redactor,
    about: &About<'_>,
) -> Failure {
    let about = About { action: said.auth_action.as_deref().unwrap_or(about.action), ..*about };
    let row = row_of(code, said, about.action);
    let (kind, again) = row.map_or_else(|| by_status(answer.status), |row| (row.kind, row.again));
    let mut failure = described(code, kind, again, row, said, redactor, &about);
    if code == "SignatureDoesNotMatch" || code == "IncompleteSignature" {
        blame(&mut failure.error, &said.message, ours);
    }
    failure.told = told(answer);
    failure
}

/// An unknown code, but for texts of which the documentation says what they mean.
fn row_of(code: &str, said: &Said, action: &str) -> Option<&'static Row> {
    let own = if action.starts_with("sts:") { STS } else { &[] };
    let of = |code: &str| own.iter().chain(ROWS).find(|row| row.is_of(code));
    if code.starts_with("InvalidParameter") && said.message.contains("SecurityToken.Expired") {
        return of("InvalidSecurityToken.Expired");
    }
    of(code)
}

fn described(
    code: &str,
    kind: Kind,
    again: Again,
    row: Option<&Row>,
    said: &Said,
    redactor: &Redactor,
    about: &About<'_>,
) -> Failure {
    let sentence = row.map_or_else(
        || format!("the cloud refused {}", about.action),
        |row| about.fill(row.sentence),
    );
    let words = redactor.clean(cut_echo(&said.message));
    let message =
        if words.is_empty() { sentence } else { format!("{sentence}; the cloud says: {words}") };
    let help = row.map_or(UNKNOWN, |row| row.help);
    let error = Error {
        kind,
        code: redactor.clean(code),
        message,
        help: about.fill(help),
        request_id: said.request_id.clone(),
        attempts: 0,
    };
    let unsure = kind == Kind::Server && code != "ServiceUnavailable"
        || code == "CertificateContent.Duplicated";
    Failure { error, again, told: None, unsure }
}

/// No Code: a proxy, a portal, a broken gateway. Only a success that cannot be read may have had its effect unseen.
fn codeless(answer: &Answer, said: &Said, redactor: &Redactor, about: &About<'_>) -> Failure {
    let (kind, again) = by_status(answer.status);
    let (sentence, help) = match answer.status {
        200..300 => ("the answer is no JSON, or was cut", STRANGER),
        300..400 => ("the answer is a redirect, which we do not follow", ENDPOINT),
        _ => ("the answer has no code of the cloud", STRANGER),
    };
    let body = String::from_utf8_lossy(&answer.body);
    let words = redactor.clean(if said.message.is_empty() { body.trim() } else { &said.message });
    let words: String = words.chars().take(STRANGER_WORDS).collect();
    let message =
        if words.is_empty() { sentence.to_owned() } else { format!("{sentence}: {words}") };
    let mut error =
        Error::new(kind, &format!("Http{}", answer.status), &message, &about.fill(help));
    error.request_id.clone_from(&said.request_id);
    let unsure = matches!(kind, Kind::Server | Kind::UnknownOutcome) && answer.status != 503;
    Failure { error, again, told: told(answer), unsure }
}

fn by_status(status: u16) -> (Kind, Again) {
    match status {
        200..300 => (Kind::UnknownOutcome, Again::Soon),
        300..400 => (Kind::Config, Again::Never),
        408 => (Kind::Server, Again::Soon),
        429 => (Kind::Throttled, Again::Throttled),
        500.. => (Kind::Server, Again::Soon),
        _ => (Kind::Permanent, Again::Never),
    }
}

/// The cloud's own word on when to come back: positive milliseconds (official SDKs). Else what stands between says so:
/// seconds, or a time by the clock that answered (RFC 9110, 10.2.3).
fn told(answer: &Answer) -> Option<Duration> {
    let field = |name| answer.headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(value) = field("x-acs-retry-after") {
        return value.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis);
    }
    let value = field("retry-after")?;
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero());
    }
    let time = |text| jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp());
    let wait = time(value)?.duration_since(time(field("date")?)?);
    Duration::try_from(wait).ok().filter(|wait| !wait.is_zero())
}

/// Whose fault a signature is: the same string signed by both means another secret, else we built it wrongly.
fn blame(error: &mut Error, message: &str, ours: &str) {
    let Some(theirs) =
        message.find(ECHO).and_then(|at| message.get(at + ECHO.len()..)).map(str::trim)
    else {
        return;
    };
    if same(theirs, ours) {
        error.message = "the AccessKey's secret is wrong: the cloud signed the same text and got another signature".into();
        return;
    }
    let at = theirs.bytes().zip(ours.bytes()).take_while(|(theirs, ours)| theirs == ours).count();
    let parameter = parameter_at(ours, at);
    error.kind = Kind::Permanent;
    error.message =
        format!("our signature's text and the cloud's differ from byte {at} on, in {parameter}");
    error.help = "something on the way changes requests (a proxy?), or certferry is wrong: please report it with the RequestId".into();
}

/// Without an early end: these strings hold keys.
fn same(one: &str, other: &str) -> bool {
    let different = one.bytes().zip(other.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    one.len() == other.len() && different == 0
}

/// The name of the parameter in which a byte of a StringToSign lies; a name is no secret.
fn parameter_at(string: &str, at: usize) -> String {
    let before = string.as_bytes().get(..at).map(String::from_utf8_lossy).unwrap_or_default();
    let start =
        before.rfind("%26").map_or_else(|| before.rfind('&').map_or(0, |at| at + 1), |at| at + 3);
    let name = string.get(start..).and_then(|rest| rest.split("%3D").next()).unwrap_or_default();
    if is_plain(name) { name.to_owned() } else { "an unknown parameter".to_owned() }
}

fn cut_echo(message: &str) -> &str {
    message.find(ECHO).and_then(|at| message.get(..at)).unwrap_or(message).trim()
}

/// Letters, digits and the few signs that identifiers have: harmless in any line.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/*".contains(&byte);
    !text.is_empty() && text.len() <= 100 && text.bytes().all(plain)
}

fn xml_field(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(value, _)| value.to_owned())
}

/// Before the whole StringToSign, private key and all (observed since 2018).
const ECHO: &str = "server string to sign is:";
/// Codes that are no errors (official SDK for JavaScript).
const SUCCESS: [&str; 4] = ["200", "OK", "Success", "success"];
/// Of a page that is not the cloud's, a line is enough to know it by.
const STRANGER_WORDS: usize = 160;
const NETWORK: &str = "see that this machine reaches the endpoint of [aliyun.{account}] (name service, firewall, HTTPS_PROXY); the next run tries again";
const ENDPOINT: &str = "see cdn_endpoint and dns_endpoint of [aliyun.{account}], and what stands between this machine and the cloud";
const STRANGER: &str = "something else than the cloud may have answered (a proxy or a portal): see HTTPS_PROXY and the endpoints of [aliyun.{account}]";
const UNKNOWN: &str = "look the code up at https://error-center.alibabacloud.com/status/product/Cdn, or ask Alibaba Cloud's support with the RequestId";

#[cfg(test)]
mod tests;
