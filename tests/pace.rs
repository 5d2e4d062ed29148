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

/// Nothing was throttled, and no eleven uploads came in a second: how many came in one.
fn check(house: &House, targets: usize) -> f64 {
    let calls = house.cloud.all_calls().into_iter();
    let refused: Vec<_> = calls.filter(|call| matches!(call.ending, Ending::Refused(_))).collect();
    assert!(refused.is_empty(), "{} throttled answers: {:?}", refused.len(), refused[0].ending);
    let came: Vec<Timestamp> =
        house.cloud.calls("SetDomainServerCertificate").iter().map(|call| call.at).collect();
    assert_eq!(came.len(), targets);
    for behind in came.windows(11) {
        let took = behind[10].duration_since(behind[0]);
        assert!(took >= SignedDuration::from_secs(1), "eleven within {took}");
    }
    (targets - 1) as f64 / came[targets - 1].duration_since(came[0]).as_secs_f64()
}

#[test]
fn three_hundred_uploads_and_not_one_throttled() {
    let _alone = ALONE.lock();
    let (mut house, names) = house(TARGETS);
    house.config = keeping(&names);
    let ended = house.run("renew");
    assert_eq!(ended.code, 0, "{}", ended.all());
    println!("{TARGETS} uploads: {:.2} a second", check(&house, TARGETS));
    assert!(names.iter().all(|name| house.cloud.served(name).is_some()));
    assert_eq!(house.run("renew --json").json()["changed"], false);
}

/// Two runs at once, with a store each: what they share is the AccessKey.
#[test]
fn two_runs_share_the_pace_of_the_host() {
    let _alone = ALONE.lock();
    let (mut house, names) = house(60);
    let runtime = house.path("runtime");
    std::fs::create_dir(&runtime).unwrap();
    house.var("XDG_RUNTIME_DIR", runtime.display().to_string());
    let starts = names.chunks(30).enumerate().map(|(at, names)| {
        house.config = keeping(names);
        let mut command = house.command("renew");
        let config = format!("config-{at}.toml");
        let text = house.read("config.toml").replace("/store\"", &format!("/store-{at}\""));
        house.write(&config, text);
        command.env("CERTFERRY_CONFIG", house.path(&config)).stdout(Stdio::null());
        command.spawn().unwrap()
    });
    let runs: Vec<Child> = starts.collect();
    let codes: Vec<_> = runs.into_iter().map(|mut run| run.wait().unwrap().code()).collect();
    assert_eq!(codes, [Some(0), Some(0)]);
    println!("two runs: {:.2} uploads a second", check(&house, 60));
    assert!(house.path("store-0").is_dir() && house.path("store-1").is_dir());
}
