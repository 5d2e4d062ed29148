//! Every documented error code: what it means, whether it passes, and what to do. A table.

use super::error::Kind;
use super::retry::Again;

mod sts;
#[cfg(test)]
mod tests;

pub(super) use sts::STS;

/// A code's row. `{subject}` is the domain or zone, `{action}` and `{resource}` are RAM's words, `{key}` is the
/// AccessKey ID, `{account}` the name of the `[aliyun.NAME]`.
pub(super) struct Row {
    /// The code, or its start before a `*`, or its middle between two.
    pub(super) code: &'static str,
    pub(super) kind: Kind,
    pub(super) again: Again,
    /// What it means, for people.
    pub(super) sentence: &'static str,
    /// What to do.
    pub(super) help: &'static str,
}

impl Row {
    /// Is the code this row's?
    pub(super) fn is_of(&self, code: &str) -> bool {
        match (self.code.strip_prefix('*'), self.code.strip_suffix('*')) {
            (Some(rest), Some(_)) => code.contains(rest.trim_end_matches('*')),
            (Some(end), None) => code.ends_with(end),
            (None, Some(start)) => code.starts_with(start),
            (None, None) => code == self.code,
        }
    }
}

const fn row(
    code: &'static str,
    kind: Kind,
    again: Again,
    sentence: &'static str,
    help: &'static str,
) -> Row {
    Row { code, kind, again, sentence, help }
}

/// A refusal that stays until someone does something.
const fn lasting(
    code: &'static str,
    kind: Kind,
    sentence: &'static str,
    help: &'static str,
) -> Row {
    row(code, kind, Again::Never, sentence, help)
}

const LATER: &str = "nothing to do: the next run tries again";
const WAIT: &str = "nothing to do: certferry waits and tries again, at the latest in the next run";
const GRANT: &str = "grant `{action}` on `{resource}` to the RAM user or role of {key} (`certferry policy` prints the smallest policy)";
const KEY: &str = "see that AccessKey {key} of [aliyun.{account}] exists, is enabled, and that its secret is its own";
const TOKEN: &str = "the SecurityToken of AccessKey {key} must be fresh and its own: renew both where they come from (ALIBABA_CLOUD_SECURITY_TOKEN, a profile of the CLI, STS)";
const REPORT: &str = "this is a mistake in certferry: please report it with the RequestId";
const CERTIFICATE: &str = "look at the certificate and key of {subject} with `openssl x509` and `openssl pkey`; issue them again if they are damaged";
const ACCOUNT: &str =
    "look at the account in the Alibaba Cloud console: bills and the CDN service's state";
pub(super) const CLOCK: &str = "set this machine's clock (`timedatectl set-ntp true`)";
const SUPPORT: &str =
    "look at {subject} in the CDN console; only Alibaba Cloud's support can lift this";
const ENDPOINT: &str = "see cdn_endpoint and dns_endpoint of [aliyun.{account}]; accounts of the international site use cdn.ap-southeast-1.aliyuncs.com";
const ONLINE: &str = "start {subject} in the CDN console, or take it out of the configuration";

/// The first that fits counts. Codes and statuses: the gateway's and the CDN's documentation, and what was observed.
pub(super) const ROWS: &[Row] = &[
    // the gateway: passing
    row("*Throttling*", Kind::Throttled, Again::Throttled, "the cloud throttles our calls", LATER),
    row(
        "FlowControlError",
        Kind::Throttled,
        Again::Throttled,
        "the cloud throttles our calls",
        LATER,
    ),
    row(
        "ServiceUnavailable*",
        Kind::Server,
        Again::Soon,
        "the cloud's service is not available for now",
        LATER,
    ),
    row("InternalError*", Kind::Server, Again::Soon, "the cloud failed within", LATER),
    row("UnknownError", Kind::Server, Again::Soon, "the cloud failed within", LATER),
    row(
        "SignatureNonceUsed",
        Kind::Server,
        Again::Soon,
        "something between us and the cloud sent a request twice",
        LATER,
    ),
    // the gateway: the clock
    row(
        "InvalidTimeStamp.Expired",
        Kind::Clock,
        Again::Clock,
        "this machine's clock and the cloud's differ by more than 15 minutes",
        CLOCK,
    ),
    row("IllegalTimestamp", Kind::Clock, Again::Clock, "the cloud does not take our time", CLOCK),
    lasting("InvalidTimeStamp.Format", Kind::Permanent, "the cloud cannot read our time", REPORT),
    row("InvalidTimeStamp*", Kind::Clock, Again::Clock, "the cloud does not take our time", CLOCK),
    // the gateway: who we are
    lasting("SignatureDoesNotMatch", Kind::Credentials, "the AccessKey's secret is wrong", KEY),
    lasting("IncompleteSignature", Kind::Credentials, "the cloud does not take our signature", KEY),
    lasting("InvalidAccessKeySecret", Kind::Credentials, "the AccessKey's secret is wrong", KEY),
    lasting("InvalidAccessKeyId.Inactive", Kind::Credentials, "the AccessKey is disabled", KEY),
    lasting("InvalidAccessKeyId*", Kind::Credentials, "the cloud does not know the AccessKey", KEY),
    row(
        "InvalidSecurityToken.Expired",
        Kind::Credentials,
        Again::Keys,
        "the SecurityToken has expired",
        TOKEN,
    ),
    lasting("InvalidSecurityToken*", Kind::Credentials, "the SecurityToken is wrong", TOKEN),
    lasting(
        "MissingSecurityToken",
        Kind::Credentials,
        "an AccessKey of STS needs its SecurityToken",
        TOKEN,
    ),
    row(
        "*SecurityToken*",
        Kind::Credentials,
        Again::Keys,
        "the SecurityToken is wrong or has expired",
        TOKEN,
    ),
    lasting(
        "AuthenticationFailed",
        Kind::Credentials,
        "the cloud does not take the AccessKey",
        KEY,
    ),
    // the gateway: what we may do
    lasting("Forbidden.RAM", Kind::Permission, "RAM does not allow `{action}` on {subject}", GRANT),
    lasting(
        "Forbidden.NotSupportRAM",
        Kind::Permission,
        "this call is not open to RAM users",
        "use an AccessKey that may call {action}, or another API",
    ),
    lasting(
        "Forbedden.NotSupportRAM",
        Kind::Permission,
        "this call is not open to RAM users",
        "use an AccessKey that may call {action}, or another API",
    ),
    lasting("Forbidden*", Kind::Permission, "the cloud forbids `{action}` on {subject}", GRANT),
    lasting(
        "NoPermission*",
        Kind::Permission,
        "there is no permission for `{action}` on {subject}",
        GRANT,
    ),
    // the gateway: what we asked for
    lasting(
        "InvalidApi*",
        Kind::NoSuchApi,
        "the cloud does not know this call (any more)",
        ENDPOINT,
    ),
    lasting(
        "InvalidAction*",
        Kind::NoSuchApi,
        "the cloud does not know this call (any more)",
        ENDPOINT,
    ),
    lasting("*Deprecated*", Kind::NoSuchApi, "the cloud has given up this call", ENDPOINT),
    lasting(
        "InvalidVersion*",
        Kind::NoSuchApi,
        "the cloud does not know this version of the API",
        ENDPOINT,
    ),
    lasting(
        "InvalidProduct.NotFound",
        Kind::NoSuchApi,
        "this endpoint does not have this API",
        ENDPOINT,
    ),
    lasting(
        "InvalidProtocol.NeedSsl",
        Kind::Config,
        "the endpoint wants https",
        "write https:// into the endpoint of [aliyun.{account}]",
    ),
    lasting(
        "UnsupportedHTTPMethod",
        Kind::Permanent,
        "the cloud does not take a POST here",
        REPORT,
    ),
    // the CDN: the domain
    lasting(
        "InvalidDomain.NotFound",
        Kind::DomainNotFound,
        "{subject} is no CDN domain of this account",
        "see its spelling (a wildcard CDN domain is *.example.com), and that [aliyun.{account}] is the account that owns it",
    ),
    lasting(
        "InvalidDomain.Offline",
        Kind::Permanent,
        "the CDN domain {subject} is stopped",
        ONLINE,
    ),
    lasting(
        "InvalidDomain.notOnline",
        Kind::Permanent,
        "the CDN domain {subject} is not online",
        ONLINE,
    ),
    row(
        "ServiceBusy",
        Kind::Busy,
        Again::Slowly,
        "the CDN domain {subject} is being configured",
        WAIT,
    ),
    row("SystemUpgrading", Kind::Busy, Again::Slowly, "the CDN is being upgraded", WAIT),
    lasting(
        "IllegalOperationDomain",
        Kind::Permanent,
        "the CDN does not allow this on {subject}",
        SUPPORT,
    ),
    lasting(
        "IllegalOperation",
        Kind::Permanent,
        "the CDN does not allow this on {subject}",
        SUPPORT,
    ),
    lasting(
        "DomainInSafeMode",
        Kind::Permanent,
        "the CDN domain {subject} is in safe mode",
        SUPPORT,
    ),
    lasting(
        "DomainInProtectedMode",
        Kind::Permanent,
        "the CDN domain {subject} is in protected mode",
        SUPPORT,
    ),
    lasting(
        "BatchSetBusinessError",
        Kind::Permanent,
        "the CDN refused to configure {subject}",
        SUPPORT,
    ),
    // the CDN: the account
    lasting(
        "OperationDenied*",
        Kind::Permanent,
        "the account may not do this: a bill may be overdue",
        ACCOUNT,
    ),
    lasting(
        "CdnServiceSuspended",
        Kind::Permanent,
        "the account's CDN service is suspended",
        ACCOUNT,
    ),
    lasting("CdnServiceNotFound", Kind::Config, "the account has no CDN service here", ENDPOINT),
    lasting("AccountBlacklist", Kind::Permanent, "the account is on the CDN's black list", ACCOUNT),
    // the CDN: certificate and key
    lasting(
        "Certificate.SettedNotEffect",
        Kind::NotEffective,
        "the certificate of {subject} was stored and is not live",
        LATER,
    ),
    lasting(
        "CertificateContent.Duplicated",
        Kind::Permanent,
        "this certificate was uploaded already",
        "look at {subject} in the CDN console: it may serve it under another name",
    ),
    lasting(
        "Certificate.Duplicated",
        Kind::Permanent,
        "another certificate has this name already",
        "set another cert_name for {subject}",
    ),
    lasting(
        "Certificate.MissMatch",
        Kind::Permanent,
        "the key does not fit the certificate",
        CERTIFICATE,
    ),
    lasting(
        "Certificate.FormatError",
        Kind::Permanent,
        "the CDN cannot read the certificate",
        CERTIFICATE,
    ),
    lasting("Certificate.KeyNull", Kind::Permanent, "the CDN got no key", CERTIFICATE),
    lasting(
        "Certificate.StatusError",
        Kind::Permanent,
        "the certificate is in a state that the CDN does not take",
        CERTIFICATE,
    ),
    lasting(
        "Certificate.NotFind",
        Kind::Permanent,
        "the CDN does not find the certificate",
        CERTIFICATE,
    ),
    lasting(
        "Certificate.Expired",
        Kind::Permanent,
        "the certificate has expired",
        "renew it: `certferry renew`, or the ACME client that issues it",
    ),
    lasting(
        "Certificate.NotPermittedOff",
        Kind::Permanent,
        "HTTPS of {subject} may not be switched off",
        SUPPORT,
    ),
    lasting(
        "InvalidCertificate.TooLong",
        Kind::Permanent,
        "the certificate is too long for the CDN",
        "use a shorter chain (preferred_chain) or an ECDSA key",
    ),
    lasting(
        "InvalidCertName.TooLong",
        Kind::Config,
        "the certificate's name is over 128 characters",
        "set a shorter cert_name for {subject}",
    ),
    lasting(
        "InvalidCertificate*",
        Kind::Permanent,
        "the CDN cannot read the certificate",
        CERTIFICATE,
    ),
    lasting("InvalidSSLPub*", Kind::Permanent, "the CDN cannot read the certificate", CERTIFICATE),
    lasting("InvalidPrivateKey*", Kind::Permanent, "the CDN cannot read the key", CERTIFICATE),
    lasting("InvalidSSLPri*", Kind::Permanent, "the CDN cannot read the key", CERTIFICATE),
    lasting("Key.Malformed", Kind::Permanent, "the CDN cannot read the key", CERTIFICATE),
    lasting("SSLPri.Malformed", Kind::Permanent, "the CDN cannot read the key", CERTIFICATE),
    lasting(
        "Decode.Error",
        Kind::Permanent,
        "the CDN cannot decode the certificate or the key",
        CERTIFICATE,
    ),
    lasting(
        "ServerCertificate.MissingParameter",
        Kind::Permanent,
        "the CDN got no certificate",
        REPORT,
    ),
    lasting("SSLPub.MissingParameter", Kind::Permanent, "the CDN got no certificate", REPORT),
    lasting("PrivateKey.MissingParameter", Kind::Permanent, "the CDN got no key", REPORT),
    lasting("SSLPri.MissingParameter", Kind::Permanent, "the CDN got no key", REPORT),
    lasting(
        "InvalidServerCertificateStatus.ValueNotSupported",
        Kind::Permanent,
        "the CDN does not take the state of HTTPS that we asked for",
        REPORT,
    ),
    lasting(
        "InvalidSSLProtocol.ValueNotSupported",
        Kind::Permanent,
        "the CDN does not take the state of HTTPS that we asked for",
        REPORT,
    ),
    lasting(
        "SetDomainServerCertificate.ParameterError",
        Kind::Permanent,
        "the CDN does not take a parameter of the upload",
        REPORT,
    ),
    lasting(
        "Abs.CertRegion.ValueNotSupported",
        Kind::Permanent,
        "the CDN does not take the certificate's region",
        REPORT,
    ),
    row(
        "CertStorage.failed",
        Kind::Server,
        Again::Soon,
        "the CDN could not store the certificate",
        LATER,
    ),
    row(
        "DeleteFailed",
        Kind::Server,
        Again::Soon,
        "the CDN could not replace the certificate before",
        LATER,
    ),
    // DNS
    lasting(
        "InvalidDomainName.NoExist",
        Kind::DomainNotFound,
        "{subject} is no DNS zone of this account",
        "see that [aliyun.{account}] is the account that hosts the zone {subject}",
    ),
    lasting(
        "DomainRecordNotBelongToUser",
        Kind::Permanent,
        "the DNS record is not, or no longer, of this account",
        "look at {subject} in the Alibaba Cloud DNS console",
    ),
    lasting(
        "InvalidRR.NoExist",
        Kind::Permanent,
        "there is no such DNS record",
        "look at {subject} in the Alibaba Cloud DNS console",
    ),
    lasting(
        "DomainRecordDuplicate",
        Kind::Permanent,
        "the DNS record is there already",
        "look at {subject} in the Alibaba Cloud DNS console",
    ),
    lasting(
        "RecordForbidden.DNSChange",
        Kind::Permanent,
        "the DNS records of {subject} may not be changed",
        "unlock {subject} in the Alibaba Cloud DNS console",
    ),
    lasting(
        "DomainRecordLocked",
        Kind::Permanent,
        "the DNS record is locked",
        "unlock it in the Alibaba Cloud DNS console",
    ),
    row(
        "LastOperationNotFinished",
        Kind::Server,
        Again::Soon,
        "an earlier change of {subject} is not finished",
        LATER,
    ),
    // whatever else speaks of parameters
    lasting(
        "InvalidDomain*",
        Kind::Permanent,
        "the CDN does not take {subject} as a domain",
        "see the spelling of {subject} in the configuration",
    ),
    lasting("BadArgument*", Kind::Permanent, "the cloud does not take a parameter", REPORT),
    lasting("Missing*", Kind::Permanent, "the cloud misses a parameter", REPORT),
    lasting("*.MissingParameter", Kind::Permanent, "the cloud misses a parameter", REPORT),
    lasting("Invalid*", Kind::Permanent, "the cloud does not take a parameter", REPORT),
];
