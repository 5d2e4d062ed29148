//! Every documented code of the cloud at an upload, by both APIs: how the target ends, and the remedy that is named.

use certferry_sandbox::cloud::{Domain, Ending, Fault};
use serde_json::Value;

use crate::house::House;

/// How a target ends whose upload is answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At once and for good: it would fail again. The help has this in it.
    Failed(&'static str),
    /// After one more call: it passes.
    Passes,
    /// Accepted, not live: the next run looks again.
    Waits,
}
use End::{Failed, Passes, Waits};

const GRANT: &str = "grant `cdn:ACTION` on `acs:cdn:*:*:domain/DOMAIN`";
const KEY: &str = "AccessKey AKID of [aliyun.default]";
const TOKEN: &str = "ALIBABA_CLOUD_";
const REPORT: &str = "please report it with the RequestId";
const FILES: &str = "certificate and key of DOMAIN";
const CONSOLE: &str = "look at DOMAIN in the CDN console";
const ONLINE: &str = "start DOMAIN in the CDN console";
const BILLS: &str = "bills";
const ENDPOINT: &str = "cdn_endpoint";
const AUTO: &str = "cdn_api = \"auto\" into [aliyun.default]";

/// The code, a status seen with it, and what comes of it.
#[rustfmt::skip]
const CODES: &[(&str, u16, End)] = &[
    // the gateway
    ("ServiceUnavailable", 503, Passes),
    ("InternalError", 500, Passes),
    ("UnknownError", 502, Passes),
    ("Some.New.One", 504, Passes),
    ("InvalidTimeStamp.Expired", 400, Passes),
    ("IllegalTimestamp", 400, Passes),
    ("SignatureNonceUsed", 400, Passes),
    ("InvalidTimeStamp.Format", 400, Failed(REPORT)),
    ("SignatureDoesNotMatch", 400, Failed(KEY)),
    ("IncompleteSignature", 400, Failed(KEY)),
    ("InvalidAccessKeyId.NotFound", 404, Failed(KEY)),
    ("InvalidAccessKeyId.Inactive", 400, Failed(KEY)),
    ("InvalidSecurityToken.Expired", 400, Failed(TOKEN)),
    ("InvalidSecurityToken.Malformed", 400, Failed(TOKEN)),
    ("InvalidSecurityToken.MismatchWithAccessKey", 403, Failed(TOKEN)),
    ("MissingSecurityToken", 400, Failed(TOKEN)),
    ("Forbidden.RAM", 403, Failed(GRANT)),
    ("Forbidden", 400, Failed(GRANT)),
    ("NoPermission", 403, Failed(GRANT)),
    ("Forbidden.NotSupportRAM", 403, Failed("may call cdn:ACTION")),
    ("Forbedden.NotSupportRAM", 403, Failed("may call cdn:ACTION")),
    ("MissingDomainName", 400, Failed(REPORT)),
    ("MissingParameter", 400, Failed(REPORT)),
    ("InvalidCertType", 400, Failed(REPORT)),
    ("InvalidParameter", 400, Failed(REPORT)),
    ("InvalidParameter.Format", 400, Failed(REPORT)),
    ("InvalidApi.NotFound", 404, Failed(AUTO)),
    ("InvalidAction", 403, Failed(AUTO)),
    ("InvalidAction.NotFound", 404, Failed(AUTO)),
    ("InvalidVersion", 404, Failed(ENDPOINT)),
    ("InvalidProduct.NotFound", 404, Failed(ENDPOINT)),
    ("InvalidProtocol.NeedSsl", 404, Failed("https://")),
    ("UnsupportedHTTPMethod", 400, Failed(REPORT)),
    // the CDN: the domain and the account
    ("InvalidDomain.NotFound", 404, Failed("[aliyun.default] is the account that owns it")),
    ("IllegalOperation", 403, Failed(CONSOLE)),
    ("IllegalOperationDomain", 400, Failed(CONSOLE)),
    ("ServiceBusy", 403, Passes),
    ("SystemUpgrading", 403, Passes),
    ("InvalidDomain.Offline", 400, Failed(ONLINE)),
    ("InvalidDomain.notOnline", 400, Failed(ONLINE)),
    ("OperationDenied", 403, Failed(BILLS)),
    ("CdnServiceSuspended", 403, Failed(BILLS)),
    ("CdnServiceNotFound", 403, Failed(ENDPOINT)),
    ("DomainInSafeMode", 400, Failed(CONSOLE)),
    ("DomainInProtectedMode", 403, Failed(CONSOLE)),
    ("AccountBlacklist", 400, Failed(BILLS)),
    ("AuthenticationFailed", 400, Failed(KEY)),
    ("BadArgument", 400, Failed(REPORT)),
    ("BatchSetBusinessError", 400, Failed(CONSOLE)),
    // the CDN: certificate and key
    ("InvalidServerCertificateStatus.ValueNotSupported", 400, Failed(REPORT)),
    ("InvalidSSLProtocol.ValueNotSupported", 400, Failed(REPORT)),
    ("ServerCertificate.MissingParameter", 400, Failed(REPORT)),
    ("PrivateKey.MissingParameter", 400, Failed(REPORT)),
    ("SSLPub.MissingParameter", 400, Failed(REPORT)),
    ("SSLPri.MissingParameter", 400, Failed(REPORT)),
    ("InvalidCertificate", 400, Failed(FILES)),
    ("InvalidPrivateKey", 400, Failed(FILES)),
    ("InvalidSSLPub", 400, Failed(FILES)),
    ("InvalidSSLPri", 400, Failed(FILES)),
    ("Certificate.MissMatch", 400, Failed(FILES)),
    ("InvalidCertificate.TooLong", 400, Failed("preferred_chain")),
    ("InvalidCertName.TooLong", 400, Failed("cert_name for DOMAIN")),
    ("Certificate.Duplicated", 400, Failed("cert_name for DOMAIN")),
    ("CertificateContent.Duplicated", 400, Failed(CONSOLE)),
    ("Certificate.FormatError", 400, Failed(FILES)),
    ("Key.Malformed", 400, Failed(FILES)),
    ("SSLPri.Malformed", 400, Failed(FILES)),
    ("Decode.Error", 400, Failed(FILES)),
    ("Certificate.KeyNull", 400, Failed(FILES)),
    ("Certificate.StatusError", 400, Failed(FILES)),
    ("Certificate.NotFind", 400, Failed(FILES)),
    ("Certificate.Expired", 400, Failed("certferry renew")),
    ("SetDomainServerCertificate.ParameterError", 400, Failed(REPORT)),
    ("DeleteFailed", 400, Passes),
    ("CertStorage.failed", 400, Passes),
    ("Certificate.NotPermittedOff", 400, Failed(CONSOLE)),
    ("Certificate.SettedNotEffect", 400, Waits),
    ("Abs.CertRegion.ValueNotSupported", 400, Failed(REPORT)),
    // nobody has seen it before
    ("Some.New.Code", 400, Failed("the RequestId")),
    // the gateway again: these slow down what comes after them
    ("Throttling", 400, Passes),
    ("Throttling.User", 400, Passes),
    ("Throttling.Api", 429, Passes),
    ("Rejected.Throttling", 400, Passes),
    ("FlowControlError", 400, Passes),
];

/// One run onto a domain for each code.
fn check_all(action: &str) {
    let names: Vec<String> = (0..CODES.len()).map(|at| format!("c{at}.example.test")).collect();
    // A busy machine bunches what left apart, and a throttled answer would count as an attempt.
    let mut house = House::with(|seed| {
        let seed = seed.rules(|rules| rules.limits.clear());
        names.iter().fold(seed, |seed, name| seed.domain(Domain::online(name)))
    });
    let url = house.cloud.url();
    house.config = format!(
        "[aliyun.default]\naccess_key_id = \"AKID\"\naccess_key_secret_file = \"secret\"\ncdn_endpoint = \"{url}\"\ncdn_api = \"{action}\"\n"
    );
    for (name, (code, status, end)) in names.iter().zip(CODES) {
        let fault = Fault::at(action).on(name).before().answer(code, *status);
        house.cloud.fault(if matches!(end, Failed(_)) { fault.always() } else { fault });
    }
    let flags: String = names.iter().map(|name| format!(" --domain {name}")).collect();
    let ended = house.run(&format!("deploy --json --lineage live/a{flags}"));
    assert_eq!(ended.code, 1, "{}", ended.all());
    let report = ended.json();
    assert!(!ended.all().contains("PRIVATE"), "a key is told: {}", ended.all());
    for ((name, row), got) in names.iter().zip(CODES).zip(report["targets"].as_array().unwrap()) {
        assert_eq!(got["domain"], name.as_str());
        check(&house, action, *row, got);
    }
}

fn check(house: &House, action: &str, (code, _, end): (&str, u16, End), got: &Value) {
    let name = got["domain"].as_str().unwrap();
    let calls = house.cloud.calls(action);
    let ours: Vec<_> = calls.iter().filter(|call| call.param("DomainName") == name).collect();
    let (outcome, sent, served) = match end {
        // Its name is taken: it has another try under one that nobody has.
        Failed(_) if code == "Certificate.Duplicated" && action.contains("SSL") => {
            ("failed", 2, false)
        }
        Failed(_) => ("failed", 1, false),
        Passes => ("deployed", 2, true),
        Waits => ("waiting", 1, false),
    };
    assert_eq!(got["outcome"], outcome, "{code}: {got:#}");
    assert_eq!((ours.len(), &got["attempts"]), (sent, &sent.into()), "{code}: {got:#}");
    assert_eq!(house.cloud.served(name).is_some(), served, "{code}: {got:#}");
    let carried_out = ours.iter().filter(|call| call.ending == Ending::Done).count();
    assert_eq!(carried_out, usize::from(served), "{code}");
    let error = &got["error"];
    match end {
        Passes => assert_eq!((error, &got["proof"]), (&Value::Null, &"readback".into()), "{code}"),
        Waits => assert_eq!((&error["code"], &error["retryable"]), (&code.into(), &true.into())),
        Failed(help) => {
            assert_eq!((&error["code"], &error["retryable"]), (&code.into(), &false.into()));
            let help = help.replace("ACTION", action).replace("DOMAIN", name);
            let told = error["help"].as_str().unwrap();
            assert!(told.contains(&help), "{code}: nothing says `{help}`: {told}");
            assert!(error["message"].as_str().is_some_and(|text| text.len() > 20), "{code}");
            assert!(error["request_id"].as_str().is_some_and(|id| id.len() > 8), "{code}");
        }
    }
}

#[test]
fn codes_of_set_domain_server_certificate() {
    check_all("SetDomainServerCertificate");
}

#[test]
fn codes_of_set_cdn_domain_ssl_certificate() {
    check_all("SetCdnDomainSSLCertificate");
}

/// The codes of a look: how the target ends, and how many uploads it gets. What would fail in the same way is not tried,
/// and the key stays here.
#[rustfmt::skip]
const LOOKS: &[(&str, u16, &str, usize, Option<&str>)] = &[
    ("InvalidAccessKeyId.NotFound", 404, "failed", 0, None),
    ("InvalidAccessKeyId.Inactive", 400, "failed", 0, None),
    ("SignatureDoesNotMatch", 400, "failed", 0, None),
    ("InvalidSecurityToken.Expired", 400, "failed", 0, None),
    ("InvalidDomain.NotFound", 404, "failed", 0, None),
    ("CdnServiceNotFound", 403, "failed", 0, None),
    ("InvalidProtocol.NeedSsl", 404, "failed", 0, None),
    ("Forbidden.RAM", 403, "deployed", 1, Some("accepted")),
    ("NoPermission", 403, "deployed", 1, Some("accepted")),
    ("InvalidApi.NotFound", 404, "deployed", 1, Some("accepted")),
    ("IllegalOperation", 403, "deployed", 1, Some("accepted")),
    ("Some.New.Code", 400, "deployed", 1, Some("accepted")),
    ("ServiceBusy", 403, "deployed", 1, Some("readback")),
    ("SystemUpgrading", 403, "deployed", 1, Some("readback")),
    ("ServiceUnavailable", 503, "deployed", 1, Some("readback")),
    ("InternalError", 500, "deployed", 1, Some("readback")),
    ("Throttling.User", 400, "deployed", 1, Some("readback")),
];

#[test]
fn codes_of_a_look() {
    let (look, upload) = ("DescribeDomainCertificateInfo", "SetDomainServerCertificate");
    let names: Vec<String> = (0..LOOKS.len()).map(|at| format!("c{at}.example.test")).collect();
    let house =
        House::with(|seed| names.iter().fold(seed, |seed, name| seed.domain(Domain::online(name))));
    for (name, (code, status, _, _, proof)) in names.iter().zip(LOOKS) {
        let fault = Fault::at(look).on(name).before().answer(code, *status);
        house.cloud.fault(if *proof == Some("readback") { fault } else { fault.always() });
    }
    let flags: String = names.iter().map(|name| format!(" --domain {name}")).collect();
    let ended = house.run(&format!("deploy --json --lineage live/a{flags}"));
    assert_eq!(ended.code, 1, "{}", ended.all());
    let report = ended.json();
    for (got, (code, _, outcome, uploads, proof)) in
        report["targets"].as_array().unwrap().iter().zip(LOOKS)
    {
        let name = got["domain"].as_str().unwrap();
        let sent = house.cloud.calls(upload);
        let sent = sent.iter().filter(|call| call.param("DomainName") == name).count();
        assert_eq!((got["outcome"].as_str(), sent), (Some(*outcome), *uploads), "{code}: {got:#}");
        assert_eq!(got["proof"].as_str(), *proof, "{code}: {got:#}");
        assert_eq!(got["error"]["code"].as_str().unwrap_or(code), *code, "{code}: {got:#}");
    }
}
