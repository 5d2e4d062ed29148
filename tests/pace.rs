//! 300 targets of one lineage, by the real program, against a cloud that keeps its limit of ten uploads a second. By
//! itself: other tests beside would delay calls on their way, and what comes late comes closer to the next.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    reason = "tests; of the house only a part is needed"
)]

#[path = "flow/house.rs"]
mod house;

use std::process::{Child, Stdio};
use std::sync::Mutex;

use certferry_sandbox::cloud::{Domain, Ending, Seed};
use jiff::{SignedDuration, Timestamp};

use house::House;

const TARGETS: usize = 300;
/// One test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A house with so many CDN domains, and their names.
fn house(targets: usize) -> (House, Vec<String>) {
    let names: Vec<String> = (0..targets).map(|at| format!("d{at}.example.test")).collect();
    let add = |seed: Seed, name: &String| seed.domain(Domain::online(name));
    (House::with(|seed| names.iter().fold(seed, add)), names)
}

fn keeping(names: &[String]) -> String {
    format!("[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = {names:?}\n")
}

/// How many uploads came in a second; or what shows that the pace was not kept.
fn rate(house: &House, targets: usize) -> Result<f64, String> {
    let calls = house.cloud.all_calls().into_iter();
    let refused: Vec<_> = calls.filter(|call| matches!(call.ending, Ending::Refused(_))).collect();
    if let Some(first) = refused.first() {
        return Err(format!("{} throttled answers: {:?}", refused.len(), first.ending));
    }
    let came: Vec<Timestamp> =
        house.cloud.calls("SetDomainServerCertificate").iter().map(|call| call.at).collect();
    assert_eq!(came.len(), targets);
    let mut spans = came.windows(11).map(|behind| behind[10].duration_since(behind[0]));
    match spans.find(|span| *span < SignedDuration::from_secs(1)) {
        Some(span) => Err(format!("eleven within {span}")),
        None => Ok((targets - 1) as f64 / came[targets - 1].duration_since(came[0]).as_secs_f64()),
    }
}

/// A machine that stands still for 40 ms brings one upload too close to the next, whatever the pace; one that is right is
/// kept in one of these tries. Its instants are tested in paused time, beside it.
fn check(what: &str, upload: impl Fn() -> Result<f64, String>) {
    let _alone = ALONE.lock();
    let mut tries = Vec::new();
    while tries.len() < 3 && !tries.iter().any(Result::is_ok) {
        tries.push(upload());
    }
    println!("{what}, uploads a second: {tries:?}");
    assert!(tries.iter().any(Result::is_ok), "{what}: {tries:?}");
}

#[test]
fn three_hundred_uploads_and_not_one_throttled() {
    check("300 targets", || {
        let (mut house, names) = house(TARGETS);
        house.config = keeping(&names);
        let ended = house.run("renew");
        assert_eq!(ended.code, 0, "{}", ended.all());
        let rate = rate(&house, TARGETS);
        assert!(names.iter().all(|name| house.cloud.served(name).is_some()));
        assert_eq!(house.run("renew --json").json()["changed"], false);
        rate
    });
}

/// Two runs at once, with a store each: what they share is the AccessKey.
#[test]
fn two_runs_share_the_pace_of_the_host() {
    check("two runs", || {
        let (mut house, names) = house(60);
        let runtime = house.path("runtime");
        std::fs::create_dir(&runtime).unwrap();
        house.var("XDG_RUNTIME_DIR", runtime.display().to_string());
        let runs: Vec<Child> = (0..2).map(|at| start(&mut house, at, &names)).collect();
        let codes: Vec<_> = runs.into_iter().map(|mut run| run.wait().unwrap().code()).collect();
        assert_eq!(codes, [Some(0), Some(0)]);
        assert!(house.path("store-0").is_dir() && house.path("store-1").is_dir());
        rate(&house, 60)
    });
}

/// Starts one of the two runs, with its half of the names.
fn start(house: &mut House, at: usize, names: &[String]) -> Child {
    let half = names.len() / 2;
    house.config = keeping(&names[at * half..][..half]);
    let mut command = house.command("renew");
    let config = format!("config-{at}.toml");
    let text = house.read("config.toml").replace("/store\"", &format!("/store-{at}\""));
    house.write(&config, text);
    command.env("CERTFERRY_CONFIG", house.path(&config)).stdout(Stdio::null());
    command.spawn().unwrap()
}
