//! Answers: success and refusal, in JSON or XML, with the codes and statuses of the documents.

use serde_json::{Map, Value, json};

use super::sign;
use crate::fault::Told;
use crate::wire::Answer;

/// A code, its HTTP status and its text. Statuses by the gateway's and the CDN's error pages.
const CODES: &[(&str, u16, &str)] = &[
    ("Abs.CertRegion.ValueNotSupported", 400, "The CertRegion is not supported."),
    ("AccountBlacklist", 400, "The account is on a blacklist."),
    ("AuthenticationFail.NoPermission", 401, "There is no permission."),
    ("AuthenticationFail.OIDCToken.AudienceNotMatch", 401, "Another audience."),
    ("AuthenticationFail.OIDCToken.Expired", 401, "The OIDC token has expired."),
    ("AuthenticationFail.OIDCToken.Invalid", 401, "The OIDC token is malformed."),
    ("AuthenticationFail.OIDCToken.InvalidSignature", 401, "The OIDC token's signature is wrong."),
    ("AuthenticationFailed", 400, "The authentication failed."),
    ("BadArgument", 400, "An argument is wrong."),
    ("BatchSetBusinessError", 400, "The batch was not carried out."),
    ("CdnServiceNotFound", 403, "The CDN service is not opened."),
    ("CdnServiceSuspended", 403, "The CDN service is suspended."),
    ("CertStorage.failed", 400, "The certificate could not be stored."),
    ("Certificate.Duplicated", 400, "A certificate of this name exists."),
    ("Certificate.Expired", 400, "The certificate has expired."),
    ("Certificate.FormatError", 400, "The format of the certificate is invalid."),
    ("Certificate.KeyNull", 400, "The private key is empty."),
    ("Certificate.MissMatch", 400, "The certificate is not match the private key."),
    ("Certificate.NotFind", 400, "Not find the certificate info."),
    ("Certificate.NotPermittedOff", 400, "The certificate may not be switched off."),
    ("Certificate.SettedNotEffect", 400, "The certificate is set but not in effect."),
    ("Certificate.StatusError", 400, "The certificate's status is wrong."),
    ("CertificateContent.Duplicated", 400, "The same certificate was uploaded before."),
    ("Decode.Error", 400, "The certificate could not be decoded."),
    ("DeleteFailed", 400, "The certificate could not be deleted."),
    ("DomainInProtectedMode", 403, "The domain is in protected mode."),
    ("DomainInSafeMode", 400, "The domain is in safe mode."),
    ("DomainRecordDuplicate", 400, "The DNS record already exists."),
    ("DomainRecordLocked", 400, "The DNS record is locked."),
    ("DomainRecordNotBelongToUser", 400, "The DNS record does not belong to the user."),
    ("EntityNotExist.Role", 404, "The specified role does not exist."),
    ("FlowControlError", 400, "The request was denied due to flow control."),
    ("Forbedden.NotSupportRAM", 403, "This action does not support RAM."),
    ("Forbidden", 403, "User not authorized to operate on the specified resource."),
    ("Forbidden.NotSupportRAM", 403, "This action does not support RAM."),
    ("Forbidden.RAM", 403, "User not authorized to operate on the specified resource."),
    ("IllegalOperation", 403, "The operation is not allowed."),
    ("IllegalOperationDomain", 400, "The domain's status does not allow this operation."),
    ("IllegalTimestamp", 400, "The timestamp is not valid."),
    ("IncompleteSignature", 400, "The request signature does not conform to Aliyun standards."),
    ("InternalError", 500, "The request processing has failed due to some unknown error."),
    ("InvalidAccessKeyId.Inactive", 400, "The specified AccessKey is disabled."),
    ("InvalidAccessKeyId.NotFound", 404, "The specified AccessKey is not found."),
    ("InvalidAction", 404, "The specified action is not valid."),
    ("InvalidAction.NotFound", 404, "The specified action is not found."),
    ("InvalidApi.NotFound", 404, "The specified API is not found."),
    ("InvalidCertName.TooLong", 400, "The certificate's name is too long."),
    ("InvalidCertificate", 400, "The certificate is malformed."),
    ("InvalidCertificate.TooLong", 400, "The certificate is too long."),
    ("InvalidDomain.NotFound", 404, "The specified domain is not found."),
    ("InvalidDomain.Offline", 400, "The specified domain is offline."),
    ("InvalidDomain.notOnline", 400, "The specified domain is not online."),
    ("InvalidDomainName.NoExist", 400, "The specified domain name does not exist."),
    ("InvalidParameter", 400, "A parameter is not valid."),
    ("InvalidParameter.DurationSeconds", 400, "The DurationSeconds is out of its range."),
    ("InvalidParameter.Format", 400, "A parameter's format is not valid."),
    ("InvalidParameter.PolicyGrammar", 400, "The Policy's grammar is wrong."),
    ("InvalidParameter.PolicySize", 400, "The Policy is too long."),
    ("InvalidParameter.RoleArn", 400, "The RoleArn is malformed."),
    ("InvalidParameter.RoleSessionName", 400, "The RoleSessionName is malformed."),
    ("InvalidPrivateKey", 400, "The private key is malformed."),
    ("InvalidProduct.NotFound", 404, "The specified product is not found."),
    ("InvalidProtocol.NeedSsl", 404, "The action needs HTTPS."),
    ("InvalidRR.NoExist", 400, "The specified RR does not exist."),
    ("InvalidSSLPri", 400, "The SSLPri is malformed."),
    ("InvalidSSLProtocol.ValueNotSupported", 400, "The SSLProtocol is not supported."),
    ("InvalidSSLPub", 400, "The SSLPub is malformed."),
    ("InvalidSecurityToken.Expired", 400, "The security token has expired."),
    ("InvalidSecurityToken.Malformed", 400, "The security token is malformed."),
    ("InvalidSecurityToken.MismatchWithAccessKey", 400, "The security token is another key's."),
    (
        "InvalidServerCertificateStatus.ValueNotSupported",
        400,
        "The ServerCertificateStatus is not supported.",
    ),
    ("InvalidTimeStamp.Expired", 400, "The timestamp is more than 15 minutes apart."),
    ("InvalidTimeStamp.Format", 400, "The timestamp's format is invalid."),
    ("InvalidVersion", 404, "The specified version is not valid."),
    ("Key.Malformed", 400, "The private key is malformed."),
    ("LastOperationNotFinished", 400, "The last operation has not finished."),
    ("MissingParameter", 400, "A parameter is missing."),
    ("MissingSecurityToken", 400, "The SecurityToken is missing."),
    ("NoPermission", 403, "You are not authorized to do this action."),
    ("OperationDenied", 403, "The account is overdue."),
    ("PrivateKey.MissingParameter", 400, "The PrivateKey is missing."),
    ("Rejected.Throttling", 400, "The request was denied due to throttling."),
    ("SSLPri.Malformed", 400, "The SSLPri is malformed."),
    ("SSLPri.MissingParameter", 400, "The SSLPri is missing."),
    ("SSLPub.MissingParameter", 400, "The SSLPub is missing."),
    ("ServerCertificate.MissingParameter", 400, "The ServerCertificate is missing."),
    ("ServiceBusy", 403, "The domain is being configured. Try again later."),
    ("ServiceUnavailable", 503, "The service is not available."),
    ("SetDomainServerCertificate.ParameterError", 400, "A parameter is wrong."),
    ("SignatureDoesNotMatch", 400, "Specified signature is not matched with our calculation."),
    ("SignatureNonceUsed", 400, "The specified nonce was used already."),
    ("SystemUpgrading", 403, "The system is being upgraded. Try again later."),
    ("Throttling", 400, "The request was denied due to request throttling."),
    ("Throttling.Api", 400, "The request was denied due to API flow control."),
    ("Throttling.User", 400, "The request was denied due to user flow control."),
    ("UnknownError", 500, "The request processing has failed due to an unknown error."),
    ("UnsupportedHTTPMethod", 400, "The HTTP method is not supported."),
];

/// A refusal: what the error answer says.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) status: u16,
    pub(crate) message: String,
    /// `AccessDeniedDetail` of a RAM refusal.
    pub(crate) denied: Option<Value>,
    /// `x-acs-retry-after`, in milliseconds.
    pub(crate) retry_after: Option<u32>,
}

impl Refusal {
    /// A refusal with the documented status and text; 400 and the code itself for one that is not documented.
    pub(crate) fn new(code: &str) -> Self {
        let known = CODES.iter().find(|(known, ..)| *known == code);
        let (_, status, message) = known.copied().unwrap_or((code, 400, code));
        Self {
            code: code.to_owned(),
            status,
            message: message.to_owned(),
            denied: None,
            retry_after: None,
        }
    }

    /// `Missing` + parameter.
    pub(crate) fn missing(name: &str) -> Self {
        Self::new(&format!("Missing{name}")).saying(format!("{name} is mandatory for this action."))
    }

    /// `Invalid` + parameter.
    pub(crate) fn invalid(name: &str) -> Self {
        Self::new(&format!("Invalid{name}")).saying(format!("The specified {name} is not valid."))
    }

    /// The same with another text.
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// What a fault tells.
    pub(crate) fn told(told: &Told) -> Self {
        let refusal = Self::new(told.code.as_deref().unwrap_or("InternalError"));
        Self {
            status: told.status.unwrap_or(refusal.status),
            message: told.message.clone().unwrap_or(refusal.message),
            retry_after: told.retry_after,
            ..Self::new(&refusal.code)
        }
    }

    /// The refusal of a signature, which echoes the whole string to sign, private key and all, as the real one does.
    pub(crate) fn of_signature(code: &str, string_to_sign: &str) -> Self {
        let refusal = Self::new(code);
        let lead = refusal.message.clone();
        refusal.saying(format!("{lead} server string to sign is:{string_to_sign}"))
    }
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Xml,
}

impl Format {
    /// By the `Format` parameter; XML when it is left out, as the CDN's document says.
    pub(crate) fn asked(format: Option<&str>) -> Self {
        match format {
            Some(text) if text.eq_ignore_ascii_case("JSON") => Self::Json,
            Some(_) | None => Self::Xml,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::Xml => "text/xml;charset=utf-8",
        }
    }

    /// Writes a document with the root element that XML needs.
    pub(crate) fn write(self, root: &str, document: &Value) -> String {
        match self {
            Self::Json => document.to_string(),
            Self::Xml => {
                format!("<?xml version='1.0' encoding='UTF-8'?>{}", element(root, document))
            }
        }
    }
}

impl Answer {
    /// The answer of a call that was carried out.
    pub(crate) fn success(format: Format, action: &str, id: &str, mut fields: Value) -> Self {
        if let Value::Object(fields) = &mut fields {
            fields.insert("RequestId".to_owned(), json!(id));
        }
        let body = format.write(&format!("{action}Response"), &fields);
        Self::written(200, format.content_type(), body)
    }

    /// The answer of a call that was refused.
    pub(crate) fn refusal(format: Format, id: &str, host: &str, refusal: &Refusal) -> Self {
        let mut fields = Map::new();
        fields.insert("RequestId".to_owned(), json!(id));
        fields.insert("HostId".to_owned(), json!(host));
        fields.insert("Code".to_owned(), json!(refusal.code));
        fields.insert("Message".to_owned(), json!(refusal.message));
        let recommend = format!("http://{host}/troubleshoot?q={}", sign::encode(&refusal.code));
        fields.insert("Recommend".to_owned(), json!(recommend));
        if let Some(denied) = &refusal.denied {
            fields.insert("AccessDeniedDetail".to_owned(), denied.clone());
        }
        let body = format.write("Error", &Value::Object(fields));
        let mut answer = Self::written(refusal.status, format.content_type(), body);
        if let Some(wait) = refusal.retry_after {
            answer.headers.push(("x-acs-retry-after".to_owned(), wait.to_string()));
        }
        answer
    }
}

fn element(name: &str, value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(|item| element(name, item)).collect(),
        Value::Object(fields) => {
            let inner: String = fields.iter().map(|(name, field)| element(name, field)).collect();
            format!("<{name}>{inner}</{name}>")
        }
        Value::String(text) => format!("<{name}>{}</{name}>", escape(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => format!("<{name}>{value}</{name}>"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
