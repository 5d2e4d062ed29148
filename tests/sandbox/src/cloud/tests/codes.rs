//! Every documented code of the gateway and of the CDN, and every documented state of a domain, a row each.

use super::*;

/// The code, asked for by a fault at an upload, comes with its documented status and has no effect.
async fn check(code: &str, status: u16) {
    let cloud = world();
    cloud.fault(Fault::at("SetDomainServerCertificate").code(code));
    assert_eq!(Ask::upload().refused(&cloud).await, (status, code.to_owned()));
    assert_eq!(cloud.all_calls()[0].ending, Ending::FaultBefore(code.to_owned()), "{code}");
    assert_eq!(cloud.served(DOMAIN), None, "{code}");
    cloud.fault(Fault::at("SetDomainServerCertificate").after().code(code));
    assert_eq!(Ask::upload().refused(&cloud).await, (status, code.to_owned()));
    assert!(cloud.served(DOMAIN).is_some(), "{code}: after the effect");
}

#[tokio::test]
async fn the_gateways_codes() {
    check("Throttling", 400).await;
    check("Throttling.User", 400).await;
    check("Throttling.Api", 400).await;
    check("Rejected.Throttling", 400).await;
    check("FlowControlError", 400).await;
    check("ServiceUnavailable", 503).await;
    check("InternalError", 500).await;
    check("UnknownError", 500).await;
    check("InvalidTimeStamp.Expired", 400).await;
    check("InvalidTimeStamp.Format", 400).await;
    check("IllegalTimestamp", 400).await;
    check("SignatureNonceUsed", 400).await;
    check("SignatureDoesNotMatch", 400).await;
    check("IncompleteSignature", 400).await;
    check("InvalidAccessKeyId.NotFound", 404).await;
    check("InvalidAccessKeyId.Inactive", 400).await;
    check("InvalidSecurityToken.Expired", 400).await;
    check("InvalidSecurityToken.Malformed", 400).await;
    check("InvalidSecurityToken.MismatchWithAccessKey", 400).await;
    check("MissingSecurityToken", 400).await;
    check("Forbidden.RAM", 403).await;
    check("Forbidden", 403).await;
    check("NoPermission", 403).await;
    check("Forbidden.NotSupportRAM", 403).await;
    check("Forbedden.NotSupportRAM", 403).await;
    check("MissingParameter", 400).await;
    check("MissingDomainName", 400).await;
    check("InvalidParameter", 400).await;
    check("InvalidParameter.Format", 400).await;
    check("InvalidApi.NotFound", 404).await;
    check("InvalidAction", 404).await;
    check("InvalidAction.NotFound", 404).await;
    check("InvalidVersion", 404).await;
    check("InvalidProduct.NotFound", 404).await;
    check("InvalidProtocol.NeedSsl", 404).await;
    check("UnsupportedHTTPMethod", 400).await;
}

#[tokio::test]
async fn the_cdns_codes() {
    check("InvalidDomain.NotFound", 404).await;
    check("IllegalOperation", 403).await;
    check("IllegalOperationDomain", 400).await;
    check("ServiceBusy", 403).await;
    check("SystemUpgrading", 403).await;
    check("InvalidDomain.Offline", 400).await;
    check("InvalidDomain.notOnline", 400).await;
    check("OperationDenied", 403).await;
    check("CdnServiceSuspended", 403).await;
    check("CdnServiceNotFound", 403).await;
    check("InvalidServerCertificateStatus.ValueNotSupported", 400).await;
    check("InvalidSSLProtocol.ValueNotSupported", 400).await;
    check("ServerCertificate.MissingParameter", 400).await;
    check("PrivateKey.MissingParameter", 400).await;
    check("SSLPub.MissingParameter", 400).await;
    check("SSLPri.MissingParameter", 400).await;
    check("InvalidCertificate", 400).await;
    check("InvalidPrivateKey", 400).await;
    check("InvalidSSLPub", 400).await;
    check("InvalidSSLPri", 400).await;
    check("Certificate.MissMatch", 400).await;
    check("InvalidCertificate.TooLong", 400).await;
    check("InvalidCertName.TooLong", 400).await;
    check("Certificate.Duplicated", 400).await;
    check("CertificateContent.Duplicated", 400).await;
    check("Certificate.FormatError", 400).await;
    check("Key.Malformed", 400).await;
    check("SSLPri.Malformed", 400).await;
    check("Decode.Error", 400).await;
    check("Certificate.KeyNull", 400).await;
    check("Certificate.StatusError", 400).await;
    check("Certificate.NotFind", 400).await;
    check("Certificate.Expired", 400).await;
    check("SetDomainServerCertificate.ParameterError", 400).await;
    check("DeleteFailed", 400).await;
    check("CertStorage.failed", 400).await;
    check("Certificate.NotPermittedOff", 400).await;
    check("Certificate.SettedNotEffect", 400).await;
    check("DomainInSafeMode", 400).await;
    check("DomainInProtectedMode", 403).await;
    check("Abs.CertRegion.ValueNotSupported", 400).await;
    check("AccountBlacklist", 400).await;
    check("AuthenticationFailed", 400).await;
    check("BadArgument", 400).await;
    check("BatchSetBusinessError", 400).await;
}

/// A domain in this state answers an upload with this, is read back all the same, and is listed as what it is.
async fn check_state(status: &str, upload: (u16, &str)) {
    let cloud = world();
    cloud.set_status(DOMAIN, status);
    assert_eq!(Ask::upload().refused(&cloud).await, (upload.0, upload.1.to_owned()), "{status}");
    Ask::read_back(DOMAIN).ok(&cloud).await;
    let list = |wanted| Ask::cdn("DescribeUserDomains", &[("DomainStatus", wanted)]);
    let listed = list(status).ok(&cloud).await;
    assert_eq!(listed["Domains"]["PageData"][0]["DomainStatus"], status);
    assert_eq!(list("other").ok(&cloud).await["TotalCount"], 0, "{status}");
    let detail = Ask::cdn("DescribeCdnDomainDetail", &[("DomainName", DOMAIN)]).ok(&cloud).await;
    assert_eq!(detail["GetDomainDetailModel"]["DomainStatus"], status);
}

#[tokio::test]
async fn a_domains_states() {
    check_state("online", (200, "")).await;
    check_state("offline", (400, "InvalidDomain.Offline")).await;
    check_state("configuring", (403, "ServiceBusy")).await;
    check_state("configure_failed", (400, "IllegalOperationDomain")).await;
    check_state("checking", (400, "IllegalOperationDomain")).await;
    check_state("check_failed", (400, "IllegalOperationDomain")).await;
    check_state("stopping", (400, "InvalidDomain.Offline")).await;
    check_state("deleting", (400, "IllegalOperationDomain")).await;
}
