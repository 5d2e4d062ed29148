//! Every documented code and every strange answer: which kind, whether again, and that no secret is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use reqwest::header::HeaderMap;

use super::*;

const OURS: &str = "POST&%2F&Action%3DA%26CertName%3Dx%26PrivateKey%3Ds3cret%26Version%3D1";

fn about() -> About<'static> {
    About {
        account: "main",
        key: "LTAI1",
        action: "cdn:SetDomainServerCertificate",
        resource: "acs:cdn:*:*:domain/cdn.example.com",
        subject: "cdn.example.com",
    }
}

fn judged(status: u16, body: &str) -> Result<Value, Box<Failure>> {
    let answer = Answer { status, headers: HeaderMap::new(), body: body.into() };
    judge(&answer, OURS, &Redactor::knowing(["s3cret".into()]), &about())
}

fn refused(status: u16, body: &str) -> Failure {
    let failure = *judged(status, body).unwrap_err();
    let text = format!("{}", failure.error);
    assert!(!text.contains("s3cret"), "{text}");
    for slot in ["{account}", "{key}", "{action}", "{resource}", "{subject}"] {
        assert!(!text.contains(slot), "{text}");
    }
    failure
}

fn body(code: &str) -> String {
    format!(
        r#"{{"Code":"{code}","Message":"words of the cloud","RequestId":"0AEDAF20-4DDF","HostId":"x"}}"#
    )
}

/// A code of the documentation, with a status seen with it: its kind, and whether it comes again.
fn check(code: &str, status: u16, kind: Kind, again: Again) {
    let failure = refused(status, &body(code));
    assert_eq!((failure.error.kind, failure.again), (kind, again), "{code}");
    assert_eq!(failure.error.code, code);
    assert_eq!(failure.error.request_id.as_deref(), Some("0AEDAF20-4DDF"), "{code}");
    assert!(!failure.error.help.is_empty() && failure.error.help != UNKNOWN, "{code} has no row");
    assert!(failure.error.message.ends_with("; the cloud says: words of the cloud"), "{code}");
}

#[test]
fn gateway() {
    check("Throttling", 400, Kind::Throttled, Again::Throttled);
    check("Throttling.User", 400, Kind::Throttled, Again::Throttled);
    check("Throttling.Api", 429, Kind::Throttled, Again::Throttled);
    check("Rejected.Throttling", 400, Kind::Throttled, Again::Throttled);
    check("FlowControlError", 400, Kind::Throttled, Again::Throttled);
    check("ServiceUnavailable", 503, Kind::Server, Again::Soon);
    check("InternalError", 500, Kind::Server, Again::Soon);
    check("UnknownError", 500, Kind::Server, Again::Soon);
    check("InvalidTimeStamp.Expired", 400, Kind::Clock, Again::Clock);
    check("InvalidTimeStamp.Format", 400, Kind::Permanent, Again::Never);
    check("IllegalTimestamp", 400, Kind::Clock, Again::Clock);
    check("SignatureNonceUsed", 400, Kind::Server, Again::Soon);
    check("SignatureDoesNotMatch", 400, Kind::Credentials, Again::Never);
    check("IncompleteSignature", 400, Kind::Credentials, Again::Never);
    check("InvalidAccessKeyId.NotFound", 404, Kind::Credentials, Again::Never);
    check("InvalidAccessKeyId.Inactive", 400, Kind::Credentials, Again::Never);
    check("InvalidSecurityToken.Expired", 400, Kind::Credentials, Again::Keys);
    check("InvalidSecurityToken.Malformed", 400, Kind::Credentials, Again::Never);
    check("InvalidSecurityToken.MismatchWithAccessKey", 403, Kind::Credentials, Again::Never);
    check("MissingSecurityToken", 400, Kind::Credentials, Again::Never);
    check("Forbidden.RAM", 403, Kind::Permission, Again::Never);
    check("Forbidden", 403, Kind::Permission, Again::Never);
    check("Forbidden.RAM", 400, Kind::Permission, Again::Never);
    check("NoPermission", 403, Kind::Permission, Again::Never);
    check("Forbidden.NotSupportRAM", 403, Kind::Permission, Again::Never);
    check("Forbedden.NotSupportRAM", 403, Kind::Permission, Again::Never);
    check("MissingParameter", 400, Kind::Permanent, Again::Never);
    check("MissingDomainName", 400, Kind::Permanent, Again::Never);
    check("InvalidParameter", 400, Kind::Permanent, Again::Never);
    check("InvalidParameter.Format", 400, Kind::Permanent, Again::Never);
    check("InvalidApi.NotFound", 404, Kind::NoSuchApi, Again::Never);
    check("InvalidApi.Offline", 404, Kind::NoSuchApi, Again::Never);
    check("ApiDeprecated", 400, Kind::NoSuchApi, Again::Never);
    check("InvalidAction", 403, Kind::NoSuchApi, Again::Never);
    check("InvalidAction.NotFound", 404, Kind::NoSuchApi, Again::Never);
    check("InvalidVersion", 404, Kind::NoSuchApi, Again::Never);
    check("InvalidProduct.NotFound", 404, Kind::NoSuchApi, Again::Never);
    check("InvalidProtocol.NeedSsl", 404, Kind::Config, Again::Never);
    check("UnsupportedHTTPMethod", 403, Kind::Permanent, Again::Never);
}

#[test]
fn cdn() {
    check("InvalidDomain.NotFound", 404, Kind::DomainNotFound, Again::Never);
    check("ServiceBusy", 403, Kind::Busy, Again::Slowly);
    check("SystemUpgrading", 403, Kind::Busy, Again::Slowly);
    check("CdnServiceNotFound", 403, Kind::Config, Again::Never);
    check("InvalidCertName.TooLong", 400, Kind::Config, Again::Never);
    check("AuthenticationFailed", 400, Kind::Credentials, Again::Never);
    check("Certificate.SettedNotEffect", 400, Kind::NotEffective, Again::Never);
    check("DeleteFailed", 400, Kind::Server, Again::Soon);
    check("CertStorage.failed", 400, Kind::Server, Again::Soon);
    let permanent = "IllegalOperation IllegalOperationDomain InvalidDomain.Offline InvalidDomain.notOnline OperationDenied \
        CdnServiceSuspended InvalidServerCertificateStatus.ValueNotSupported InvalidSSLProtocol.ValueNotSupported \
        ServerCertificate.MissingParameter PrivateKey.MissingParameter SSLPub.MissingParameter SSLPri.MissingParameter \
        InvalidCertificate InvalidPrivateKey InvalidSSLPub InvalidSSLPri Certificate.MissMatch InvalidCertificate.TooLong \
        Certificate.Duplicated CertificateContent.Duplicated Certificate.FormatError Key.Malformed SSLPri.Malformed \
        Decode.Error Certificate.KeyNull Certificate.StatusError Certificate.NotFind Certificate.Expired \
        SetDomainServerCertificate.ParameterError Certificate.NotPermittedOff DomainInSafeMode DomainInProtectedMode \
        Abs.CertRegion.ValueNotSupported AccountBlacklist BadArgument BatchSetBusinessError";
    permanent.split_whitespace().for_each(|code| check(code, 400, Kind::Permanent, Again::Never));
}

#[test]
fn dns() {
    check("InvalidDomainName.NoExist", 400, Kind::DomainNotFound, Again::Never);
    check("LastOperationNotFinished", 400, Kind::Server, Again::Soon);
    for code in [
        "DomainRecordDuplicate",
        "DomainRecordNotBelongToUser",
        "InvalidRR.NoExist",
        "RecordForbidden.DNSChange",
    ] {
        check(code, 400, Kind::Permanent, Again::Never);
    }
}

/// No row hides behind one before it.
#[test]
fn every_row_is_reached() {
    for row in ROWS {
        let sample = row.code.replace('*', "");
        let first = ROWS.iter().find(|first| first.is_of(&sample)).unwrap();
        assert_eq!(first.code, row.code, "{sample} is taken by {}", first.code);
    }
}

/// An answer without a code that we know: kind, again, and whether it may have had its effect.
fn check_strange(row: &str, status: u16, body: &str, kind: Kind, again: Again, unsure: bool) {
    let failure = refused(status, body);
    assert_eq!((failure.error.kind, failure.again, failure.unsure), (kind, again, unsure), "{row}");
}

#[test]
fn strange_answers() {
    let html = "<html>\n<h1>502 Bad Gateway</h1></html>";
    check_strange("unknown code", 400, &body("Brand.New"), Kind::Permanent, Again::Never, false);
    check_strange("unknown code, 5xx", 500, &body("Brand.New"), Kind::Server, Again::Soon, true);
    check_strange(
        "unknown code, 429",
        429,
        &body("Brand.New"),
        Kind::Throttled,
        Again::Throttled,
        false,
    );
    check_strange("empty 200", 200, "", Kind::UnknownOutcome, Again::Soon, true);
    check_strange("HTML 200", 200, html, Kind::UnknownOutcome, Again::Soon, true);
    check_strange(
        "truncated",
        200,
        r#"{"RequestId":"0AED"#,
        Kind::UnknownOutcome,
        Again::Soon,
        true,
    );
    check_strange("a list", 200, "[]", Kind::UnknownOutcome, Again::Soon, true);
    check_strange("HTML 502", 502, html, Kind::Server, Again::Soon, true);
    check_strange("empty 503", 503, "", Kind::Server, Again::Soon, false);
    check_strange("HTML 403", 403, html, Kind::Permanent, Again::Never, false);
    check_strange("redirect", 302, "", Kind::Config, Again::Never, false);
    check_strange("request time-out", 408, "", Kind::Server, Again::Soon, true);
    check_strange("too fast for a proxy", 429, "", Kind::Throttled, Again::Throttled, false);
    check_strange("200 with a code", 200, &body("ServiceBusy"), Kind::Busy, Again::Slowly, false);
    check_strange(
        "lower case",
        400,
        r#"{"code":"ServiceBusy","message":"x"}"#,
        Kind::Busy,
        Again::Slowly,
        false,
    );
    let xml = "<Error><RequestId>X</RequestId><Code>ServiceBusy</Code><Message>m</Message></Error>";
    check_strange("XML", 403, xml, Kind::Busy, Again::Slowly, false);
    let token = r#"{"Code":"InvalidParameter","Message":"bad: SecurityToken.Expired"}"#;
    check_strange("a token's end, in words", 400, token, Kind::Credentials, Again::Keys, false);
    check_strange(
        "uploaded already",
        400,
        &body("CertificateContent.Duplicated"),
        Kind::Permanent,
        Again::Never,
        true,
    );
}

#[test]
fn successes() {
    assert_eq!(judged(200, r#"{"RequestId":"X"}"#).unwrap()["RequestId"], "X");
    for code in ["200", "OK", "Success", "success"] {
        assert!(judged(200, &format!(r#"{{"Code":"{code}","RequestId":"X"}}"#)).is_ok(), "{code}");
    }
    assert!(judged(200, r#"{"Code":200}"#).is_ok());
}

#[test]
fn permission_names_what_to_grant() {
    let error = refused(403, &body("Forbidden.RAM")).error;
    assert!(
        error
            .help
            .contains("`cdn:SetDomainServerCertificate` on `acs:cdn:*:*:domain/cdn.example.com`"),
        "{error}"
    );
    let detail = r#"{"Code":"NoPermission","AccessDeniedDetail":{"AuthAction":"cdn:Other","EncodedDiagnosticMessage":"AQE"}}"#;
    let error = refused(403, detail).error;
    assert!(error.help.contains("`cdn:Other`") && !error.to_string().contains("AQE"), "{error}");
}

/// The cloud's own word on when to come back.
#[test]
fn retry_after() {
    let check = |fields: &[(&'static str, &str)], want: Option<u64>| {
        let said = fields.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        });
        let headers: HeaderMap = said.collect();
        let answer = Answer { status: 400, headers, body: body("Throttling").into() };
        let failure = judge(&answer, OURS, &Redactor::default(), &about()).unwrap_err();
        let want = (Again::Throttled, want.map(Duration::from_millis));
        assert_eq!((failure.again, failure.told), want, "{fields:?}");
    };
    let acs = "x-acs-retry-after";
    check(&[(acs, "1500")], Some(1500));
    check(&[(acs, "0")], None);
    check(&[(acs, "-5")], None);
    check(&[(acs, "soon")], None);
    check(&[("retry-after", "2")], Some(2000));
    check(&[("retry-after", "0")], None);
    check(&[("retry-after", "later")], None);
    check(&[("retry-after", "2"), (acs, "1500")], Some(1500));
    let (date, then) = ("Fri, 02 Jan 2026 04:04:05 GMT", "Fri, 02 Jan 2026 04:04:35 GMT");
    check(&[("retry-after", then), ("date", date)], Some(30_000));
    check(&[("retry-after", date), ("date", then)], None);
    check(&[("retry-after", then)], None);
}

/// What an echo says of the signature: the kind, and a word of the message.
fn check_echo(row: &str, theirs: &str, kind: Kind, word: &str) {
    let said = format!(
        "Specified signature is not matched with our calculation. server string to sign is:{theirs}"
    );
    let json = serde_json::json!({"Code": "SignatureDoesNotMatch", "Message": said});
    let error = refused(400, &json.to_string()).error;
    assert_eq!(error.kind, kind, "{row}");
    assert!(error.message.contains(word) && !error.to_string().contains("%3D"), "{row}: {error}");
}

#[test]
fn signatures_that_do_not_match() {
    check_echo("the same text", OURS, Kind::Credentials, "secret is wrong");
    check_echo("another value", &OURS.replace("3Dx", "3Dy"), Kind::Permanent, "in CertName");
    check_echo("the key's value", &OURS.replace("s3c", "s4c"), Kind::Permanent, "in PrivateKey");
    check_echo("cut", &OURS[..40], Kind::Permanent, "differ from byte 40");
    check_echo("longer", &format!("{OURS}0"), Kind::Permanent, "in Version");
    check_echo("empty", "", Kind::Permanent, "differ from byte 0");
}

#[test]
fn display() {
    let mut error = Error::new(Kind::Busy, "ServiceBusy", "it is busy", "wait");
    assert_eq!(error.to_string(), "ServiceBusy: it is busy\nhelp: wait");
    error.request_id = Some("X-1".into());
    assert_eq!(error.to_string(), "ServiceBusy: it is busy (RequestId X-1)\nhelp: wait");
}

#[test]
fn lost_calls() {
    let check = |error: http::Error, kind, again, unsure| {
        let failure = Failure::lost(&error, &Redactor::default(), &about());
        assert_eq!(
            (failure.error.kind, failure.again, failure.unsure),
            (kind, again, unsure),
            "{error:?}"
        );
    };
    check(http::Error::NotSent("x".into()), Kind::Transport, Again::Soon, false);
    check(http::Error::Unknown("x".into()), Kind::UnknownOutcome, Again::Soon, true);
    check(http::Error::TooLarge(7), Kind::UnknownOutcome, Again::Never, true);
    check(http::Error::Setup("x".into()), Kind::Config, Again::Never, false);
}

proptest::proptest! {
    /// Whatever answers, and with whatever: no panic, and nothing of the key.
    #[test]
    fn no_answer_breaks_it(status in 100_u16..600, code in ".{0,12}", before in ".{0,40}", after in ".{0,40}", form in 0..3, raw in proptest::bool::ANY) {
        let body = "MIIEowIBAAKCAQEAv1+/aVeryLongLine0fBase64WhichIsAKeyOfN0body/+==";
        let mut key = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n");
        let redactor = Redactor::knowing([key.clone().into()]);
        for _ in 0..form {
            key = crate::secret::percent_encoded(&key).to_string();
        }
        let said = format!("{before}{key}{after}");
        let json = serde_json::json!({"Code": code, "Message": said}).to_string();
        let answer = Answer { status, headers: HeaderMap::new(), body: if raw { said.into() } else { json.into() } };
        if let Err(failure) = judge(&answer, OURS, &redactor, &about()) {
            let text = format!("{failure:?}");
            proptest::prop_assert!(!text.contains("AVeryLong") && !text.contains("aVeryLong") && !text.contains("MIIE"), "{}", text);
        }
    }
}

/// STS' codes are judged by its own table first: one of the gateway's names means something else there.
#[test]
fn sts() {
    let check = |code: &str, status: u16, kind: Kind, says: &str| {
        let role = "acs:ram::1:role/certferry";
        let about = About { action: "sts:AssumeRole", resource: role, subject: role, ..about() };
        let answer = Answer { status, headers: HeaderMap::new(), body: body(code).into() };
        let failure = judge(&answer, OURS, &Redactor::default(), &about).unwrap_err();
        assert_eq!((failure.error.kind, failure.error.code.as_str()), (kind, code));
        let text = failure.error.to_string();
        assert!(text.contains(says) && !text.contains(UNKNOWN) && !text.contains('{'), "{text}");
    };
    check("EntityNotExist.Role", 404, Kind::Credentials, "no RAM role acs:ram::1:role/certferry");
    check(
        "NoPermission",
        403,
        Kind::Permission,
        "grant `sts:AssumeRole` on `acs:ram::1:role/certferry`",
    );
    check("Forbidden.RAM", 403, Kind::Permission, "trust policy");
    check("AuthenticationFail.NoPermission", 401, Kind::Permission, "OIDC provider");
    check("AuthenticationFail.OIDCToken.Expired", 401, Kind::Credentials, "OIDC_TOKEN_FILE");
    check("AuthenticationFail.OIDCToken.Invalid", 401, Kind::Credentials, "OIDC token");
    check("AuthenticationFail.OIDCToken.InvalidSignature", 401, Kind::Credentials, "OIDC token");
    check("AuthenticationFail.OIDCToken.AudienceNotMatch", 401, Kind::Credentials, "audience");
    check("InvalidParameter.RoleArn", 400, Kind::Credentials, "no ARN");
    check("InvalidParameter.RoleSessionName", 400, Kind::Credentials, "role_session_name");
    check("InvalidParameter.DurationSeconds", 400, Kind::Credentials, "expired_seconds");
    check("InvalidParameter.PolicyGrammar", 400, Kind::Credentials, "policy");
    check("InvalidParameter.PolicySize", 400, Kind::Credentials, "1024");
    check("Throttling.User", 400, Kind::Throttled, "throttles");
    check("InvalidAccessKeyId.NotFound", 404, Kind::Credentials, "AccessKey LTAI1");
    check("SignatureDoesNotMatch", 400, Kind::Credentials, "secret is wrong");
}
