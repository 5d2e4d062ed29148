//! Hundreds of targets behind each other, in paused time, against a cloud that keeps its documented limits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::Place;
use crate::cert::testing::Make;
use crate::config::CdnDomain;
use crate::ground::{Clock, Env, Say};
use crate::http::{Answer, Error as Lost};
use crate::look::OnDisk;
use crate::plan::{Asked, LineageSeen, Owned, TargetOutcome};
use crate::report::TargetEnd;

const SECOND: Duration = Duration::from_secs(1);
/// A cloud whose answers take a while, and which shows an upload after a while.
#[derive(Clone)]
struct Cloud {
    /// To it, and as long back.
    way: Duration,
    lag: Duration,
    /// Domains that are being configured for ever.
    busy: usize,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What was uploaded, and when.
    took: BTreeMap<String, (String, Instant)>,
    /// Every upload that came, in their order.
    uploads: Vec<(String, Instant)>,
    windows: BTreeMap<String, VecDeque<Instant>>,
    throttled: usize,
}

impl Cloud {
    fn new(way_ms: u64) -> Self {
        let (way, lag) = (Duration::from_millis(way_ms), Duration::ZERO);
        Self { way, lag, busy: 0, seen: Arc::default() }
    }

    fn http(&self) -> Http {
        let cloud = self.clone();
        Http::scripted_far_off(self.way, Box::new(move |request| cloud.answer(request)))
    }

    fn answer(&self, request: &reqwest::Request) -> Result<Answer, Lost> {
        let form = std::str::from_utf8(request.body().unwrap().as_bytes().unwrap()).unwrap();
        let url = reqwest::Url::parse(&format!("http://x/?{form}")).unwrap();
        let form: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let (action, domain) = (form["Action"].as_str(), form["DomainName"].clone());
        let (now, mut seen) = (Instant::now(), self.seen.lock().unwrap());
        let is_upload = action == "SetDomainServerCertificate";
        if is_upload {
            seen.uploads.push((domain.clone(), now));
        }
        if !seen.admits(action, if is_upload { 10 } else { 100 }, now) {
            return refused("Throttling.User");
        }
        if is_upload && number(&domain) < self.busy {
            return refused("ServiceBusy");
        }
        if is_upload {
            seen.took.insert(domain, (form["ServerCertificate"].clone(), now));
            return answered(200, &json!({"RequestId": "R"}));
        }
        let shown = seen.took.get(&domain).filter(|(_, at)| now >= *at + self.lag);
        let (status, pem) = shown.map_or(("off", ""), |(pem, _)| ("on", pem));
        let entry = json!({"ServerCertificateStatus": status, "ServerCertificate": pem});
        answered(200, &json!({"CertInfos": {"CertInfo": [entry]}, "RequestId": "R"}))
    }
}

impl Seen {
    /// Fits one more call into the second that ends now?
    fn admits(&mut self, action: &str, limit: usize, now: Instant) -> bool {
        let window = self.windows.entry(action.to_owned()).or_default();
        window.retain(|call| now < *call + SECOND);
        let fits = window.len() < limit;
        if fits {
            window.push_back(now);
        }
        self.throttled += usize::from(!fits);
        fits
    }
}

fn refused(code: &str) -> Result<Answer, Lost> {
    answered(403, &json!({"Code": code, "Message": "no"}))
}

fn answered(status: u16, body: &serde_json::Value) -> Result<Answer, Lost> {
    let headers = reqwest::header::HeaderMap::new();
    Ok(Answer { status, headers, body: body.to_string().into_bytes() })
}

fn number(domain: &str) -> usize {
    domain.split('.').next().unwrap().trim_start_matches('d').parse().unwrap()
}

fn run(cloud: &Cloud, store: Option<Store>) -> Run {
    let env =
        [("ALIBABA_CLOUD_ACCESS_KEY_ID", "AKID"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s3cret")];
    let clock = Clock::new(|| "2026-03-01T00:00:00Z".parse().unwrap());
    let (env, say) = (Env::from_iter(env), Say::nothing());
    let ground = Ground {
        clock,
        env,
        input: crate::ground::Input::nothing(),
        stop: Default::default(),
        say,
        ask: crate::ground::Ask::nobody(),
        width: 80,
    };
    let config = Config { trust: Trust::Any, ..Config::without_file(PathBuf::new()) };
    let mut run = Run::new(config, store, ground).unwrap();
    run.http = cloud.http();
    // Its file has the time of the machine, which does not stand still.
    run.pace_folders.clear();
    run
}

fn store() -> (tempfile::TempDir, Store) {
    let top = tempfile::tempdir().unwrap();
    let store = Store::open(&top.path().join("s")).unwrap();
    (top, store)
}

fn lineage(targets: usize) -> (Lineage, OnDisk) {
    let cert = Make::new(&["*.example.test"]).cert();
    let target = |number: usize| {
        let domain = CdnDomain::read(&format!("d{number}.example.test")).unwrap();
        Owned::plain(Target { aliyun: "default".to_owned(), domain })
    };
    let targets = (0..targets).map(target).collect();
    let (name, names) = ("a".to_owned(), Vec::new());
    let lineage = Lineage { targets, ..Lineage::bare(name, names, Origin::Given) };
    let seen = LineageSeen { leaf: Some(cert.leaf().clone()), ..LineageSeen::default() };
    (lineage, OnDisk { seen, cert: Some(cert), ..OnDisk::default() })
}

/// Uploads onto so many targets: how they ended, and how many uploads came in a second.
async fn walked(run: Run, cloud: &Cloud, targets: usize) -> (Vec<TargetEnd>, f64) {
    let (lineage, disk) = lineage(targets);
    let ends =
        crate::walk_targets(&run, &lineage, &disk, &Asked::default(), Place::default()).await;
    let seen = cloud.seen.lock().unwrap();
    assert_eq!(seen.throttled, 0, "throttled answers");
    for behind in seen.uploads.windows(11) {
        assert!(behind[10].1 - behind[0].1 >= SECOND, "eleven in a second");
    }
    let took = seen.uploads.last().unwrap().1 - seen.uploads[0].1;
    let count = u32::try_from(seen.uploads.len() - 1).unwrap();
    (ends, f64::from(count) / took.as_secs_f64())
}

/// 300 targets: all are deployed and proved, each by one upload, and no slower.
async fn check(row: &str, cloud: Cloud, store: Option<Store>) {
    let (targets, run) = (300, run(&cloud, store));
    let (ends, rate) = walked(run, &cloud, targets).await;
    let uploads = cloud.seen.lock().unwrap().uploads.len();
    let deployed = ends.iter().filter(|end| end.outcome == TargetOutcome::Deployed).count();
    assert_eq!((deployed, uploads), (targets, targets), "{row}");
    assert!(rate >= 9.4, "{row}: {rate:.2} uploads a second");
}

#[tokio::test(start_paused = true)]
async fn uploads_as_fast_as_the_pace_allows() {
    let (_top, store) = store();
    check("with a store, its locks and its journal", Cloud::new(20), Some(store)).await;
    check("at once", Cloud::new(0), None).await;
    check("a cloud far off", Cloud::new(1000), None).await;
    check("a cloud that thinks for six seconds", Cloud::new(3000), None).await;
    let lagging = |seconds| Cloud { lag: Duration::from_secs(seconds), ..Cloud::new(20) };
    check("shown after ten seconds", lagging(10), None).await;
    check("shown after half a minute", lagging(30), None).await;
    check("shown after three quarters of a minute", lagging(45), None).await;
}

/// What is being configured waits outside of the gate, of the locks, and of the pace.
#[tokio::test(start_paused = true)]
async fn busy_domains_hold_back_no_other() {
    let cloud = Cloud { busy: 100, ..Cloud::new(20) };
    let begun = Instant::now();
    let (_top, store) = store();
    let mut run = run(&cloud, Some(store));
    run.deadline = Some(begun + Duration::from_secs(40));
    let (ends, _) = walked(run, &cloud, 120).await;
    let deployed = ends.iter().filter(|end| end.outcome == TargetOutcome::Deployed).count();
    let is_left = |end: &&TargetEnd| {
        let error = end.error.as_ref().is_some_and(|error| error.retryable);
        end.outcome == TargetOutcome::Waiting || error
    };
    assert_eq!((deployed, ends.iter().filter(is_left).count()), (20, 100));
    let seen = cloud.seen.lock().unwrap();
    let free: BTreeSet<&str> = seen.took.keys().map(String::as_str).collect();
    assert!(free.iter().all(|domain| number(domain) >= 100));
    // 120 first tries, and those of the busy that come again meanwhile.
    let last = seen.took.values().map(|(_, at)| *at - begun).max().unwrap();
    assert!(last < Duration::from_secs(25), "the last after {last:?}");
}

/// Without a hook's deadline a domain is waited for five minutes, then the next run's.
#[tokio::test(start_paused = true)]
async fn a_domain_that_stays_busy_is_left_to_the_next_run() {
    let cloud = Cloud { busy: 1, ..Cloud::new(20) };
    let begun = Instant::now();
    let (ends, _) = walked(run(&cloud, None), &cloud, 1).await;
    let error = ends[0].error.as_ref().unwrap();
    assert_eq!((ends[0].outcome, error.code.as_str()), (TargetOutcome::Failed, "ServiceBusy"));
    assert!(error.retryable && ends[0].attempts == 11, "{:?}", ends[0]);
    let seconds = begun.elapsed().as_secs();
    assert!((255..=300).contains(&seconds), "{seconds} s");
}
