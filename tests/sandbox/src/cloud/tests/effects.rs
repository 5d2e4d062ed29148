//! What calls leave behind.

use serde_json::json;

use super::*;
use crate::dns::Dns;

fn listed(answer: &Value) -> Vec<String> {
    let items = answer["Domains"]["PageData"].as_array().unwrap();
    items.iter().map(|item| item["DomainName"].as_str().unwrap().to_owned()).collect()
}

async fn shown(cloud: &Cloud) -> Option<String> {
    let answer = Ask::read_back(DOMAIN).ok(cloud).await;
    let entry = answer["CertInfos"]["CertInfo"][0].clone();
    let pem = entry["ServerCertificate"].as_str()?.to_owned();
    Some(if pem == GOOD.chain() { "good".to_owned() } else { "other".to_owned() })
}

fn record(rr: &str, value: &str) -> Ask {
    Ask::alidns(
        "AddDomainRecord",
        &[("DomainName", "example.com"), ("RR", rr), ("Type", "TXT"), ("Value", value)],
    )
}

#[tokio::test]
async fn an_upload_is_served_and_shown_in_every_layout_and_key_type() {
    for pair in [&GOOD, &OTHER, &RSA] {
        let ask = || Ask::upload_of(pair, DOMAIN, "cf-test");
        let common = ["Action", "Version", "Timestamp", "Signature"].map(String::from);
        let asks = [
            ask(),
            ask().all_in_query(),
            Ask { in_query: common.into(), ..ask() },
            Ask { in_query: ["Signature".to_owned()].into(), ..ask() },
        ];
        for ask in asks {
            let cloud = world();
            ask.ok(&cloud).await;
            assert_eq!(cloud.served(DOMAIN).unwrap().chain_pem, pair.chain());
            let entry = Ask::read_back(DOMAIN).ok(&cloud).await["CertInfos"]["CertInfo"][0].clone();
            assert_eq!(entry["ServerCertificate"], pair.chain());
            assert_eq!(entry["CertDomainName"], DOMAIN);
            assert_eq!(entry["ServerCertificateStatus"], "on");
        }
    }
}

#[tokio::test]
async fn pkcs8_is_a_switch() {
    let cloud = world();
    cloud.rules(|rules| rules.key_format = KeyFormat::Any);
    Ask::upload().set("PrivateKey", &GOOD.pkcs8).ok(&cloud).await;
}

#[tokio::test]
async fn a_name_exists_once_unless_forced() {
    let cloud = world();
    Ask::upload().without("ForceSet").ok(&cloud).await;
    let again = Ask::upload().without("ForceSet").refused(&cloud).await;
    assert_eq!(again, (400, "Certificate.Duplicated".to_owned()));
    Ask::upload().ok(&cloud).await;
    Ask::upload().without("CertName").ok(&cloud).await;
    assert_eq!(cloud.cert_names(DEFAULT_UID).len(), 2, "one named by us, one by the cloud");
}

async fn forced(rule: ForceSet) -> (Served, Served) {
    let cloud = Cloud::start(
        seed().domain(Domain::online(".example.com")).rules(|rules| rules.force_set = rule),
    );
    Ask::upload_of(&GOOD, DOMAIN, "shared").ok(&cloud).await;
    Ask::upload_of(&OTHER, ".example.com", "shared").ok(&cloud).await;
    (cloud.served(DOMAIN).unwrap(), cloud.served(".example.com").unwrap())
}

#[tokio::test]
async fn a_forced_name_changes_every_domain_bound_to_it_unless_told_not_to() {
    let (first, second) = forced(ForceSet::Shared).await;
    assert_eq!(first, second);
    let (first, second) = forced(ForceSet::OneDomain).await;
    assert_eq!(first.chain_pem, GOOD.chain());
    assert_eq!(second.chain_pem, OTHER.chain());
}

#[tokio::test]
async fn off_drops_the_certificate() {
    let cloud = world();
    Ask::upload().ok(&cloud).await;
    let off = [("DomainName", DOMAIN), ("ServerCertificateStatus", "off")];
    Ask::cdn("SetDomainServerCertificate", &off).ok(&cloud).await;
    assert_eq!(cloud.served(DOMAIN), None);
    let entry = Ask::read_back(DOMAIN).ok(&cloud).await;
    assert_eq!(entry["CertInfos"]["CertInfo"][0]["ServerCertificateStatus"], "off");
    cloud.rules(|rules| rules.off_shows = OffShows::Nothing);
    assert_eq!(Ask::read_back(DOMAIN).ok(&cloud).await["CertInfos"]["CertInfo"], json!([]));
}

#[tokio::test]
async fn the_successor_does_the_same() {
    let cloud = world();
    let pair = [("SSLPub", GOOD.leaf.as_str()), ("SSLPri", GOOD.key.as_str())];
    let on = [("DomainName", DOMAIN), ("SSLProtocol", "on")];
    Ask::cdn("SetCdnDomainSSLCertificate", &[on, pair].concat()).ok(&cloud).await;
    assert_eq!(cloud.served(DOMAIN).unwrap().chain_pem, GOOD.leaf);
}

#[tokio::test]
async fn the_read_back_lags_by_reads_or_time() {
    let cloud = world();
    Ask::upload_of(&OTHER, DOMAIN, "cf-test").ok(&cloud).await;
    cloud.rules(|rules| rules.lag = Lag::Reads(2));
    Ask::upload().ok(&cloud).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(shown(&cloud).await.unwrap());
    }
    assert_eq!(seen, ["other", "other", "good"]);
    cloud.rules(|rules| rules.lag = Lag::For(Duration::from_secs(60)));
    Ask::upload_of(&OTHER, DOMAIN, "cf-test").ok(&cloud).await;
    assert_eq!(shown(&cloud).await.unwrap(), "good");
    assert_eq!(cloud.served(DOMAIN).unwrap().chain_pem, OTHER.chain());
    cloud.set_served(DOMAIN, "console", &OTHER.chain(), &OTHER.key);
    assert_eq!(shown(&cloud).await.unwrap(), "other", "the console's changes are shown at once");
    cloud.switch_off(DOMAIN);
    assert_eq!(shown(&cloud).await, None);
}

#[tokio::test]
async fn fields_can_be_left_out_wherever_they_stand() {
    let cloud = world();
    Ask::upload().ok(&cloud).await;
    cloud.rules(|rules| rules.left_out.extend(["ServerCertificate".to_owned()]));
    let entry = Ask::read_back(DOMAIN).ok(&cloud).await["CertInfos"]["CertInfo"][0].clone();
    assert_eq!(
        (entry["ServerCertificate"].clone(), entry["CertName"].clone()),
        (Value::Null, json!("cf-test"))
    );
}

#[tokio::test]
async fn xml_is_the_default() {
    let cloud = world();
    let (_, body) = Ask::read_back(DOMAIN).without("Format").send(&cloud).await.unwrap();
    assert!(
        body.contains("<DescribeDomainCertificateInfoResponse><CertInfos><CertInfo>"),
        "{body}"
    );
    let (_, body) = Ask::read_back("x").without("Format").send(&cloud).await.unwrap();
    assert!(
        body.contains("<Error>") && body.contains("<Code>InvalidDomain.NotFound</Code>"),
        "{body}"
    );
}

#[tokio::test]
async fn domains_are_listed_in_pages_and_filtered() {
    let mut seed = seed().domain(Domain::with_status("off.example.org", "offline"));
    for number in 0..25 {
        seed = seed.domain(Domain::online(format!("{number:02}.example.org")));
    }
    let cloud = Cloud::start(seed.domain(Domain::online("theirs.example.org").uid("2")));
    let ask = |params: &[(&str, &str)]| Ask::cdn("DescribeUserDomains", params);
    let first = ask(&[]).ok(&cloud).await;
    assert_eq!((listed(&first).len(), first["TotalCount"].clone()), (20, json!(27)));
    assert_eq!(listed(&ask(&[("PageNumber", "2")]).ok(&cloud).await).len(), 7);
    assert_eq!(listed(&ask(&[("PageNumber", "9")]).ok(&cloud).await).len(), 0);
    assert_eq!(
        listed(&ask(&[("PageSize", "500"), ("DomainStatus", "online")]).ok(&cloud).await).len(),
        26
    );
    assert_eq!(
        listed(&ask(&[("DomainName", "01.example.org,cdn.example.com")]).ok(&cloud).await).len(),
        2
    );
    let suffix =
        [("DomainName", "example.org"), ("DomainSearchType", "suf_match"), ("PageSize", "100")];
    assert_eq!(listed(&ask(&suffix).ok(&cloud).await).len(), 26);
    cloud.rules(|rules| rules.page_limit = 10);
    assert_eq!(listed(&ask(&[("PageSize", "500")]).ok(&cloud).await).len(), 10);
}

#[tokio::test]
async fn a_policy_allows_what_it_says() {
    let policy = json!({ "Version": "1", "Statement": [
        { "Effect": "Allow", "Action": ["cdn:SetDomainServerCertificate", "cdn:Describe*"],
          "Resource": format!("acs:cdn:*:{DEFAULT_UID}:domain/{DOMAIN}") },
        { "Effect": "Allow", "Action": "alidns:*", "Resource": "acs:alidns::*:domain/example.com" },
    ] });
    let cloud = Cloud::start(
        Seed::new()
            .account(Account::new(KEY, SECRET).policy(policy))
            .domain(Domain::online(DOMAIN))
            .domain(Domain::online("b.example.com"))
            .zone(Zone::new("example.com")),
    );
    Ask::upload().ok(&cloud).await;
    let id = record("a", "v").ok(&cloud).await["RecordId"].as_str().unwrap().to_owned();
    Ask::alidns("DeleteDomainRecord", &[("RecordId", &id)]).ok(&cloud).await;
    let (_, body) = Ask::read_back("b.example.com").send(&cloud).await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["Code"], "Forbidden.RAM");
    assert_eq!(body["AccessDeniedDetail"]["AuthAction"], "cdn:DescribeDomainCertificateInfo");
    let (_, code) = Ask::alidns("DescribeDomains", &[]).refused(&cloud).await;
    assert_eq!(code, "Forbidden.RAM");
}

#[tokio::test]
async fn a_throttled_answer_can_say_when_to_come_back() {
    let cloud = world();
    assert_eq!(Rules::default().limits["SetDomainServerCertificate"], 10);
    cloud.rules(|rules| {
        rules.limits.insert("SetDomainServerCertificate".to_owned(), 0);
        rules.retry_after = Some(250);
    });
    let request = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = request.post(cloud.url()).body(Ask::upload().signed_body());
    let answer = answer.header("content-type", Ask::upload().content_type).send().await.unwrap();
    assert_eq!(answer.headers()["x-acs-retry-after"], "250");
    assert!(answer.headers()["date"].to_str().unwrap().ends_with(" GMT"));
    Ask::read_back(DOMAIN).ok(&cloud).await;
}

#[tokio::test]
async fn a_nonce_serves_once() {
    let cloud = world();
    let ask = || Ask::read_back(DOMAIN).set("SignatureNonce", "the same");
    ask().ok(&cloud).await;
    assert_eq!(ask().refused(&cloud).await, (400, "SignatureNonceUsed".to_owned()));
}

#[tokio::test]
async fn a_refused_signature_echoes_the_private_key() {
    let cloud = world();
    let ask = Ask { secret: "other", ..Ask::upload() };
    let ours = sign::string_to_sign("POST", &ask.params);
    let (_, body) = ask.send(&cloud).await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let message = body["Message"].as_str().unwrap();
    assert_eq!(message.split_once("server string to sign is:").unwrap().1, ours);
    assert!(ours.contains("PRIVATE%2520KEY"));
}

#[tokio::test]
async fn records_come_and_go_one_by_one_and_are_published() {
    let dns = Dns::well();
    let cloud = Cloud::start(seed().dns(dns.zones()));
    let first = record("_acme-challenge", "one").ok(&cloud).await["RecordId"].clone();
    record("_acme-challenge", "two").ok(&cloud).await;
    let twin = record("_acme-challenge", "two").refused(&cloud).await;
    assert_eq!(twin, (400, "DomainRecordDuplicate".to_owned()));
    let name = "_acme-challenge.example.com";
    assert_eq!(dns.zones().values(name, "TXT"), ["one", "two"]);
    let list = [("SubDomain", name), ("Type", "TXT"), ("PageSize", "1"), ("PageNumber", "2")];
    let page = Ask::alidns("DescribeSubDomainRecords", &list).ok(&cloud).await;
    assert_eq!(
        (page["TotalCount"].clone(), page["DomainRecords"]["Record"][0]["Value"].clone()),
        (json!(2), json!("two"))
    );
    let id = [("RecordId", first.as_str().unwrap())];
    Ask::alidns("DeleteDomainRecord", &id).ok(&cloud).await;
    assert_eq!(dns.zones().values(name, "TXT"), ["two"]);
    let again = Ask::alidns("DeleteDomainRecord", &id).refused(&cloud).await;
    assert_eq!(again, (400, "DomainRecordNotBelongToUser".to_owned()));
    let rr = [("DomainName", "example.com"), ("RR", "_acme-challenge")];
    let gone = Ask::alidns("DeleteSubDomainRecords", &rr).ok(&cloud).await;
    assert_eq!(gone["TotalCount"], "1");
    assert!(cloud.txt(name).is_empty());
}

/// A stand-in for pebble-challtestsrv's management port: its two calls, in memory.
async fn challtestsrv() -> (String, Arc<Mutex<Vec<String>>>) {
    let values = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let held = Arc::clone(&values);
    let answer = move |uri: http::Uri, body: String| {
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["host"], "_acme-challenge.example.com.");
        match (uri.path(), body["value"].as_str()) {
            ("/clear-txt", None) => held.lock().unwrap().clear(),
            ("/set-txt", Some(value)) => held.lock().unwrap().push(value.to_owned()),
            other => panic!("challtestsrv knows no {other:?}"),
        }
        async {}
    };
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, values)
}

#[tokio::test]
async fn a_value_that_goes_leaves_the_others_at_challtestsrv() {
    let (url, values) = challtestsrv().await;
    let cloud = Cloud::start(seed().challtestsrv(url));
    let first = record("_acme-challenge", "one").ok(&cloud).await["RecordId"].clone();
    record("_acme-challenge", "two").ok(&cloud).await;
    assert_eq!(*values.lock().unwrap(), ["one", "two"]);
    let id = [("RecordId", first.as_str().unwrap())];
    Ask::alidns("DeleteDomainRecord", &id).ok(&cloud).await;
    assert_eq!(*values.lock().unwrap(), ["two"]);
}

#[tokio::test]
async fn zones_are_listed() {
    let cloud =
        Cloud::start(seed().zone(Zone::new("sub.example.com")).zone(Zone::new("x.org").uid("2")));
    let all = Ask::alidns("DescribeDomains", &[]).ok(&cloud).await;
    assert_eq!(all["TotalCount"], 2);
    let exact = [("KeyWord", "example.com"), ("SearchMode", "EXACT")];
    let one = Ask::alidns("DescribeDomains", &exact).ok(&cloud).await;
    assert_eq!(one["Domains"]["Domain"][0]["DomainName"], "example.com");
    assert_eq!(one["TotalCount"], 1);
}

#[tokio::test]
async fn the_record_tells_what_came_in_the_url() {
    let mut cloud = world();
    Ask::upload().all_in_query().ok(&cloud).await;
    let call = cloud.calls("SetDomainServerCertificate").pop().unwrap();
    assert!(call.in_query.contains("PrivateKey"));
    assert_eq!((call.param("DomainName"), call.ending.clone()), (DOMAIN, Ending::Done));
    assert_eq!(cloud.tally(), BTreeMap::from([("SetDomainServerCertificate".to_owned(), 1)]));
    cloud.stop();
    assert!(Ask::upload().send(&cloud).await.is_err());
}
