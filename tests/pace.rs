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

use certferry_sandbox::cloud::{Domain, Ending};
use jiff::{SignedDuration, Timestamp};

use house::House;

const TARGETS: usize = 300;

#[test]
fn three_hundred_uploads_and_not_one_throttled() {
    let names: Vec<String> = (0..TARGETS).map(|at| format!("d{at}.example.test")).collect();
    let seed = |seed| {
        names.iter().fold(seed, |seed: certferry_sandbox::cloud::Seed, name| {
            seed.domain(Domain::online(name))
        })
    };
    let mut house = House::with(seed);
    house.config = format!(
        "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = {names:?}\n"
    );
    let ended = house.run("renew");
    assert_eq!(ended.code, 0, "{}", ended.all());
    let is_refused = |ending: &Ending| matches!(ending, Ending::Refused(_));
    let refused: Vec<_> =
        house.cloud.all_calls().into_iter().filter(|call| is_refused(&call.ending)).collect();
    assert!(refused.is_empty(), "{} throttled answers: {:?}", refused.len(), refused[0].ending);
    let came: Vec<Timestamp> =
        house.cloud.calls("SetDomainServerCertificate").iter().map(|call| call.at).collect();
    assert_eq!(came.len(), TARGETS);
    for behind in came.windows(11) {
        let took = behind[10].duration_since(behind[0]);
        assert!(took >= SignedDuration::from_secs(1), "eleven within {took}");
    }
    let took = came[TARGETS - 1].duration_since(came[0]);
    let rate = (TARGETS - 1) as f64 / took.as_secs_f64();
    println!("{TARGETS} uploads: {rate:.2} a second");
    assert!(names.iter().all(|name| house.cloud.served(name).is_some()));
    assert_eq!(house.run("renew --json").json()["changed"], false);
}
