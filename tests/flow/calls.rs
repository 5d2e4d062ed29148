//! Each call of the cloud under each fault, before and after its effect: how it ends, and what reached the cloud.

use std::time::Duration;

use certferry::aliyun::{self, Effort, Upload};
use certferry::cert::Fingerprint;
use certferry::config::{Aliyun, CdnApi};
use certferry::ground::{Clock, Env, Ground, Say};
use certferry::http::Http;
use certferry_sandbox::cloud::{Account, Cloud, Domain, Fault, Seed, Zone};
use futures_util::future::{LocalBoxFuture, join_all};
use rcgen::{CertificateParams, KeyPair};
use tokio::time::Instant;

const DOMAIN: &str = "cdn.example.test";
const ZONE: &str = "example.test";
const VALUE: &str = "a-value-that-proves-it";
/// One retry comes within half a second.
const TIME: Duration = Duration::from_secs(20);

/// A call, made to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Successor,
    Look,
    Domains,
    Zones,
    Add,
    Records,
    Delete,
}

/// What a fault means for whoever called.
#[derive(Clone, Copy, Debug)]
enum Means {
    /// It may have had its effect: look, or do it again where that is one.
    Unsure,
    /// It surely had none: do it again.
    Sure,
    /// It may have had its effect, and would fail again with this code.
    UnsureForGood(&'static str),
    /// It would fail again, with this code.
    ForGood(&'static str),
    /// It is a success.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

type Row = (&'static str, fn(Fault) -> Fault, Means);

const FAULTS: &[Row] = &[
    ("reset", |f| f.reset(), Means::Unsure),
    ("truncated", |f| f.truncated(), Means::Unsure),
    ("empty 200", |f| f.empty(200), Means::Unsure),
    ("HTML 200", |f| f.html(200), Means::Unsure),
    ("HTML 500", |f| f.html(500), Means::Unsure),
    ("HTML 502", |f| f.html(502), Means::Unsure),
    ("empty 504", |f| f.empty(504), Means::Unsure),
    ("HTML 503", |f| f.html(503), Means::Sure),
    ("HTML 429", |f| f.html(429), Means::Sure),
    ("500 with a code", |f| f.answer("InternalError", 500), Means::Unsure),
    ("500, come back", |f| f.answer("InternalError", 500).retry_after(700), Means::Unsure),
    ("503 with a code", |f| f.answer("ServiceUnavailable", 503), Means::Sure),
    ("503, come back", |f| f.answer("ServiceUnavailable", 503).retry_after(700), Means::Sure),
    ("502, a proxy's word", |f| f.answer("Bad", 502).header("retry-after", "1"), Means::Unsure),
    ("throttled", |f| f.answer("Throttling.User", 400), Means::Sure),
    ("429, come back", |f| f.answer("Throttling", 429).retry_after(700), Means::Sure),
    ("200 with a code", |f| f.answer("Throttling", 200), Means::Sure),
    ("a nonce that was used", |f| f.answer("SignatureNonceUsed", 400), Means::Unsure),
    ("XML 500", |f| f.xml("InternalError", 500), Means::Unsure),
    ("XML 503", |f| f.xml("ServiceUnavailable", 503), Means::Sure),
    ("XML, refused", |f| f.xml("OperationDenied", 403), Means::ForGood("OperationDenied")),
    ("200, refused", |f| f.answer("OperationDenied", 200), Means::ForGood("OperationDenied")),
    ("HTML 403", |f| f.html(403), Means::ForGood("Http403")),
    ("redirect", |f| f.redirect("http://127.0.0.1:9/"), Means::ForGood("Http307")),
    ("oversized", |f| f.oversized(), Means::UnsureForGood("AnswerTooLarge")),
    ("wrong types", |f| f.wrong_type(), Means::Done),
];

impl Which {
    fn action(self) -> &'static str {
        match self {
            Self::First => "SetDomainServerCertificate",
            Self::Successor => "SetCdnDomainSSLCertificate",
            Self::Look => "DescribeDomainCertificateInfo",
            Self::Domains => "DescribeUserDomains",
            Self::Zones => "DescribeDomains",
            Self::Add => "AddDomainRecord",
            Self::Records => "DescribeSubDomainRecords",
            Self::Delete => "DeleteDomainRecord",
        }
    }

    /// Does doing it twice need a look?
    fn is_upload(self) -> bool {
        matches!(self, Self::First | Self::Successor)
    }

    /// The calls that a fault makes of one, and the code by which it ends (empty: well).
    fn expected(self, means: Means, side: Side) -> (Vec<&'static str>, &'static str) {
        let (own, look) = (self.action(), Self::Look.action());
        let after = side == Side::After;
        match (means, self) {
            (Means::ForGood(code), _) => (vec![own], code),
            (Means::UnsureForGood(code), _) if self.is_upload() => {
                (vec![own, look], if after { "" } else { code })
            }
            (Means::UnsureForGood(code), _) => (vec![own], code),
            (Means::Done, Self::Add) => (vec![own], "NoRecordId"),
            (Means::Done, _) => (vec![own], ""),
            (Means::Unsure, _) if self.is_upload() && after => (vec![own, look], ""),
            (Means::Unsure, _) if self.is_upload() => (vec![own, look, own], ""),
            // The name is taken then, and a look finds it served.
            (Means::Sure, Self::Successor) if after => (vec![own, own, look], ""),
            // The record is there then, and is looked for.
            (Means::Unsure | Means::Sure, Self::Add) if after => {
                (vec![own, own, Self::Records.action()], "")
            }
            (Means::Unsure | Means::Sure, _) => (vec![own, own], ""),
        }
    }
}

/// A cloud, an account of it, and a certificate.
struct World {
    cloud: Cloud,
    chain: String,
    key: secrecy::SecretString,
}

impl World {
    fn new() -> Self {
        let seed = Seed::new().account(Account::new("AKID", "s3cret"));
        let zone = Zone::new(ZONE).record("_acme-challenge", "TXT", "another");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([DOMAIN.to_owned()]).unwrap();
        let pem = certferry::cert::Key::read(key.serialize_pem().as_bytes()).unwrap();
        Self {
            cloud: Cloud::start(seed.domain(Domain::online(DOMAIN)).zone(zone)),
            chain: params.self_signed(&key).unwrap().pem(),
            key: pem.traditional_pem(),
        }
    }

    fn account(&self, cdn_api: CdnApi, time: Duration) -> aliyun::Account {
        let (cdn_endpoint, dns_endpoint) = (self.cloud.url(), self.cloud.url());
        let config = Aliyun { cdn_endpoint, dns_endpoint, cdn_api, ..Aliyun::default() };
        let env = [
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "AKID"),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s3cret"),
        ];
        let now = || std::time::SystemTime::now().try_into().unwrap();
        let (clock, env, say) = (Clock::new(now), Env::from_iter(env), Say::nothing());
        let ground = Ground {
            clock,
            env,
            input: certferry::ground::Input::nothing(),
            stop: Default::default(),
            say,
            ask: certferry::ground::Ask::nobody(),
            width: 80,
        };
        aliyun::Account::open("main", &config, None, Http::new(), &ground, Vec::new())
            .unwrap()
            .until(Some(Instant::now() + time))
    }

    async fn make(&self, which: Which, time: Duration) -> Result<(), aliyun::Error> {
        let first = CdnApi::SetDomainServerCertificate;
        let is_successor = which == Which::Successor;
        let api = if is_successor { CdnApi::SetCdnDomainSslCertificate } else { first };
        let account = self.account(api, time);
        let record = self.cloud.records(ZONE)[0].id.clone();
        match which {
            Which::First | Which::Successor => self.upload(&account).await,
            Which::Look => account.describe_domain_certificate_info(DOMAIN).await.map(drop),
            Which::Domains => account.describe_user_domains().await.map(drop),
            Which::Zones => account.describe_domains().await.map(drop),
            Which::Add => account.add_domain_record(ZONE, "_acme-challenge", VALUE).await.map(drop),
            Which::Records => {
                let name = format!("_acme-challenge.{ZONE}");
                account.describe_sub_domain_records(&name, ZONE).await.map(drop)
            }
            Which::Delete => account.delete_domain_record(&record).await,
        }
    }

    async fn upload(&self, account: &aliyun::Account) -> Result<(), aliyun::Error> {
        let upload = Upload {
            api_name: DOMAIN,
            cert_name: "cf-a",
            fingerprint: Fingerprint::of(&pem::parse(&self.chain).unwrap().into_contents()),
            chain_pem: &self.chain,
            key_pem: &self.key,
        };
        let mut effort = Effort::default();
        account.upload(&upload, &mut effort).await.map(drop)
    }

    fn actions(&self) -> Vec<String> {
        self.cloud.all_calls().into_iter().map(|call| call.action).collect()
    }

    /// Is the effect of the call there, once?
    fn has_effect(&self, which: Which) -> bool {
        let values = self.cloud.txt(&format!("_acme-challenge.{ZONE}"));
        match which {
            Which::First | Which::Successor => {
                self.cloud.served(DOMAIN).is_some_and(|served| served.chain_pem == self.chain)
            }
            Which::Add => values.iter().filter(|value| *value == VALUE).count() == 1,
            Which::Delete => values.is_empty(),
            Which::Look | Which::Domains | Which::Zones | Which::Records => true,
        }
    }
}

async fn check(which: Which, row: &Row, side: Side) {
    let (name, fault, means) = row;
    let row = format!("{which:?}, {name}, {side:?}");
    let world = World::new();
    let fault = fault(Fault::at(which.action()));
    world.cloud.fault(if side == Side::After { fault.after() } else { fault.before() });
    let ended = world.make(which, TIME).await;
    let (calls, code) = which.expected(*means, side);
    assert_eq!(world.actions(), calls, "{row}: {ended:?}");
    assert_eq!(world.cloud.faults_left(), 0, "{row}");
    match &ended {
        Ok(()) => assert_eq!("", code, "{row}"),
        Err(error) => {
            assert_eq!(error.code, code, "{row}: {error}");
            assert!(!error.to_string().contains("PRIVATE KEY") && error.help.len() > 10, "{row}");
        }
    }
    // An answer that says 'done' and is none is believed.
    let is_believed = matches!(means, Means::Done) && side == Side::Before;
    let effect = side == Side::After || ended.is_ok() && !is_believed;
    assert_eq!(world.has_effect(which), effect || reads(which), "{row}");
}

fn reads(which: Which) -> bool {
    matches!(which, Which::Look | Which::Domains | Which::Zones | Which::Records)
}

/// All faults of a call, side by side: most wait for half a second.
fn check_all(which: Which) {
    let rows = FAULTS.iter().flat_map(|row| {
        [Side::Before, Side::After]
            .map(|side| -> LocalBoxFuture<'_, ()> { Box::pin(check(which, row, side)) })
    });
    let rows: Vec<_> = rows.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(join_all(rows));
}

/// A call's time in these rows: a loaded machine may need seconds for one that is well.
const SHORT: Duration = Duration::from_secs(5);

/// A call that is cut short by its time, or never leaves: the code, and whether it had its effect.
async fn check_slow(which: Which, row: &str, fault: Option<Fault>, code: &str, effect: bool) {
    let mut world = World::new();
    match fault {
        Some(fault) => world.cloud.fault(fault),
        None => world.cloud.stop(),
    }
    let error = world.make(which, SHORT).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable()), (code, true), "{which:?}, {row}: {error}");
    assert!(error.help.contains("[aliyun.main]"), "{which:?}, {row}: {error}");
    assert_eq!(world.has_effect(which), effect || reads(which), "{which:?}, {row}");
}

#[test]
fn calls_that_take_too_long() {
    let all = [
        Which::First,
        Which::Successor,
        Which::Look,
        Which::Domains,
        Which::Zones,
        Which::Add,
        Which::Records,
        Which::Delete,
    ];
    let of = |which: Which| -> Vec<LocalBoxFuture<'static, ()>> {
        let fault = || Fault::at(which.action());
        let (silence, drip) = (fault().before().silence(), fault().after().drip());
        vec![
            Box::pin(check_slow(which, "silence", Some(silence), "NoAnswer", false)),
            Box::pin(check_slow(which, "a slow drip", Some(drip), "NoAnswer", true)),
            Box::pin(check_slow(which, "nobody there", None, "NotReached", false)),
        ]
    };
    let rows: Vec<_> = all.into_iter().flat_map(of).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(join_all(rows));
}

#[test]
fn uploads() {
    check_all(Which::First);
}

#[test]
fn uploads_by_the_successor() {
    check_all(Which::Successor);
}

#[test]
fn looks() {
    check_all(Which::Look);
}

#[test]
fn lists_of_domains() {
    check_all(Which::Domains);
}

#[test]
fn lists_of_zones() {
    check_all(Which::Zones);
}

#[test]
fn records_put() {
    check_all(Which::Add);
}

#[test]
fn records_looked_for() {
    check_all(Which::Records);
}

#[test]
fn records_taken_away() {
    check_all(Which::Delete);
}

/// A code at a call of the DNS or of a list: the calls that it makes, and what is said (empty: it ends well).
async fn check_code(which: Which, code: &str, status: u16, calls: usize, says: &str) {
    let row = format!("{which:?}, {code}");
    let world = World::new();
    let fault = Fault::at(which.action()).answer(code, status);
    world.cloud.fault(if says.is_empty() { fault } else { fault.always() });
    let ended = world.make(which, TIME).await;
    assert_eq!(world.actions().len(), calls, "{row}: {ended:?}");
    let text = ended.as_ref().map_or_else(ToString::to_string, |()| String::new());
    assert!(text.contains(says) && ended.is_ok() == says.is_empty(), "{row}: {text}");
    assert!(ended.is_ok() || text.starts_with(code), "{row}: {text}");
}

#[test]
#[rustfmt::skip]
fn codes_of_the_dns_and_of_lists() {
    use Which::{Add, Delete, Domains, Records, Zones};
    let zone = "[aliyun.main] is the account that hosts the zone example.test";
    let rows: Vec<LocalBoxFuture<'_, ()>> = vec![
        // it is there by another's hand, and is looked for
        Box::pin(check_code(Add, "DomainRecordDuplicate", 400, 2, "look at example.test")),
        Box::pin(check_code(Add, "LastOperationNotFinished", 400, 2, "")),
        Box::pin(check_code(Add, "InternalError", 500, 2, "")),
        Box::pin(check_code(Add, "Throttling.User", 400, 2, "")),
        Box::pin(check_code(Add, "InvalidDomainName.NoExist", 400, 1, zone)),
        Box::pin(check_code(Add, "RecordForbidden.DNSChange", 400, 1, "unlock example.test")),
        Box::pin(check_code(Add, "Forbidden.RAM", 400, 1, "grant `alidns:AddDomainRecord` on `acs:alidns::*:domain/example.test`")),
        Box::pin(check_code(Add, "InvalidAccessKeyId.NotFound", 404, 1, "[aliyun.main]")),
        Box::pin(check_code(Add, "Some.New.Code", 400, 1, "RequestId")),
        // gone is what was wanted
        Box::pin(check_code(Delete, "DomainRecordNotBelongToUser", 400, 1, "")),
        Box::pin(check_code(Delete, "InvalidRR.NoExist", 400, 1, "")),
        Box::pin(check_code(Delete, "ServiceUnavailable", 503, 2, "")),
        Box::pin(check_code(Delete, "DomainRecordLocked", 400, 1, "unlock it")),
        Box::pin(check_code(Delete, "NoPermission", 403, 1, "grant `alidns:DeleteDomainRecord`")),
        Box::pin(check_code(Records, "Rejected.Throttling", 400, 2, "")),
        Box::pin(check_code(Records, "InvalidDomainName.NoExist", 400, 1, zone)),
        Box::pin(check_code(Records, "Forbidden.RAM", 403, 1, "grant `alidns:DescribeSubDomainRecords`")),
        Box::pin(check_code(Zones, "SignatureNonceUsed", 400, 2, "")),
        Box::pin(check_code(Zones, "Forbidden.RAM", 403, 1, "grant `alidns:DescribeDomains` on `*`")),
        Box::pin(check_code(Domains, "InternalError", 500, 2, "")),
        Box::pin(check_code(Domains, "Forbidden.RAM", 403, 1, "grant `cdn:DescribeUserDomains` on `acs:cdn:*:*:domain/*`")),
        Box::pin(check_code(Domains, "CdnServiceNotFound", 403, 1, "cdn.ap-southeast-1.aliyuncs.com")),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(join_all(rows));
}
