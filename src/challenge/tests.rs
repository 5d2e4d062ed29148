//! A proof with DNS accesses of its own kind: what is put is taken away, in every way in which a proof can end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::convert::Infallible;

use futures_util::future::{pending, ready};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ground::{Clock, Env, MOMENT};
use crate::journal::Order;

const LINEAGE: &str = "example.test";
const ORDER: &str = "https://ca.test/order/1";

/// How the fake access misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    PutFails,
    /// And says that it surely had no effect.
    NotPut,
    /// The second value is put and never answered.
    SecondPutHangs,
    NeverShows,
    TakeAwayFails,
    TakeAwayHangs,
    /// Ten seconds for each value, and never two of a name at once.
    TakeAwayIsSlow,
}

/// What stands in the fake DNS, by name and value, and what was asked of it.
struct Place {
    /// The one seat at the CA: whoever does something in the DNS must not keep it.
    seats: Seats,
    standing: RefCell<Vec<(String, String)>>,
    calls: RefCell<Vec<String>>,
    changing: RefCell<BTreeSet<String>>,
}

impl Default for Place {
    fn default() -> Self {
        let (standing, calls, changing) = Default::default();
        Self { seats: Seats::new(1), standing, calls, changing }
    }
}

impl Place {
    fn called(&self, what: String) {
        assert_eq!(self.seats.free(), 1, "{what}: the seat was kept");
        self.calls.borrow_mut().push(what);
    }

    fn forget(&self, name: &str, value: &str) {
        self.standing.borrow_mut().retain(|(at, what)| at != name || what != value);
    }

    async fn forget_slowly(&self, name: &str, value: &str) -> anyhow::Result<()> {
        assert!(self.changing.borrow_mut().insert(name.to_owned()), "two at once of {name}");
        sleep(Duration::from_secs(10)).await;
        self.changing.borrow_mut().remove(name);
        self.forget(name, value);
        Ok(())
    }
}

struct FakeDns {
    place: Rc<Place>,
    trouble: Trouble,
    stop: CancellationToken,
}

impl Dns for FakeDns {
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        self.place.called(format!("put {value}"));
        if self.trouble == Trouble::PutFails {
            return ready(Err(anyhow::anyhow!("no such zone"))).boxed_local();
        }
        if self.trouble == Trouble::NotPut {
            return ready(Err(NotPut::from(anyhow::anyhow!("refused")).into())).boxed_local();
        }
        self.place.standing.borrow_mut().push((name.to_owned(), value.to_owned()));
        if self.trouble == Trouble::SecondPutHangs && value == "two" {
            self.stop.cancel();
            return pending().boxed_local();
        }
        ready(Ok(Some(format!("id-{value}")))).boxed_local()
    }

    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.place.called(format!("take {value} {}", id.unwrap_or("-")));
        match self.trouble {
            Trouble::TakeAwayFails => ready(Err(anyhow::anyhow!("not today"))).boxed_local(),
            Trouble::TakeAwayHangs => pending().boxed_local(),
            Trouble::TakeAwayIsSlow => self.place.forget_slowly(name, value).boxed_local(),
            Trouble::None
            | Trouble::PutFails
            | Trouble::NotPut
            | Trouble::SecondPutHangs
            | Trouble::NeverShows => {
                self.place.forget(name, value);
                ready(Ok(())).boxed_local()
            }
        }
    }
}

struct FakeLook {
    place: Rc<Place>,
    trouble: Trouble,
}

impl Look for FakeLook {
    fn follow<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, anyhow::Result<String>> {
        ready(Ok(name.to_owned())).boxed_local()
    }

    fn shown<'a>(
        &'a self,
        wanted: &'a [Wanted],
        _limit: Duration,
    ) -> LocalBoxFuture<'a, anyhow::Result<Vec<String>>> {
        assert_eq!(self.place.seats.free(), 1, "the seat was kept while the DNS is waited for");
        let standing = self.place.standing.borrow();
        let stands = |name: &str, value: &String| {
            standing.iter().any(|(at, what)| at == name && what == value)
        };
        let all = wanted.iter().all(|at| at.values.iter().all(|value| stands(&at.name, value)));
        if self.trouble == Trouble::NeverShows {
            return ready(Err(anyhow::anyhow!("ns1 lacks it"))).boxed_local();
        }
        assert!(all, "asked before all values were put");
        ready(Ok(Vec::new())).boxed_local()
    }
}

struct World {
    prover: Prover,
    place: Rc<Place>,
    store: Store,
    _folder: tempfile::TempDir,
}

fn world(trouble: Trouble) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let ground = Ground {
        input: crate::ground::Input::nothing(),
        clock: Clock::new(|| Timestamp::UNIX_EPOCH),
        env: Env::default(),
        stop: CancellationToken::new(),
        say: Say::nothing(),
        ask: crate::ground::Ask::nobody(),
        width: 80,
    };
    let place = Rc::new(Place::default());
    let access = Opened {
        dns: Rc::new(FakeDns { place: Rc::clone(&place), trouble, stop: ground.stop.clone() }),
        look: Rc::new(FakeLook { place: Rc::clone(&place), trouble }),
        propagation: Duration::from_secs(1),
        settle: Duration::ZERO,
        putting: Semaphore::new(SIDE_BY_SIDE),
    };
    let config = crate::config::Config::without_file(folder.path().join("store"));
    let prover = Prover {
        accesses: Accesses::new(&config, BTreeMap::new(), &ground),
        store: store.clone(),
        ground,
        open: RefCell::new(BTreeMap::from([("default".to_owned(), Rc::new(access))])),
    };
    World { prover, place, store, _folder: folder }
}

fn proofs() -> Vec<Proof> {
    ["one", "two"].map(|value| Proof { name: LINEAGE.to_owned(), value: value.to_owned() }).into()
}

fn record(value: &str, id: Option<&str>, order: &str) -> Record {
    Record {
        lineage: LINEAGE.to_owned(),
        dns: "default".to_owned(),
        name: format!("_acme-challenge.{LINEAGE}"),
        value: value.to_owned(),
        id: id.map(str::to_owned),
        order: order.to_owned(),
    }
}

/// What the body of a proof does.
#[derive(Clone, Copy, Debug)]
enum Body {
    Answers,
    Fails,
    IsStopped,
    IsStoppedNearItsEnd,
}

async fn prove(world: &World, body: Body) -> (String, Vec<String>) {
    let purpose = Purpose { lineage: LINEAGE, dns: "default", order: ORDER };
    let place = Rc::clone(&world.place);
    let mut seat = place.seats.seat();
    seat.take().await;
    let proved = world
        .prover
        .prove(purpose, &proofs(), &mut seat, async move || {
            assert_eq!(place.seats.free(), 0, "begun without a seat");
            assert!(place.standing.borrow().len() >= 2, "begun before all values stood");
            match body {
                Body::Answers => Ok("answer"),
                Body::Fails => Err("the CA said no"),
                Body::IsStopped => {
                    world.prover.ground.stop.cancel();
                    pending().await
                }
                Body::IsStoppedNearItsEnd => {
                    world.prover.ground.stop.cancel();
                    sleep(MOMENT / 4).await;
                    assert!(place.standing.borrow().len() >= 2, "taken away while the CA looks");
                    Ok("answer")
                }
            }
        })
        .await;
    let ended = match proved.result {
        Ok(answer) => answer.to_owned(),
        Err(Halt::Stopped) => "stopped".to_owned(),
        Err(Halt::Unready(error)) => format!("unready: {error}"),
        Err(Halt::Body(error)) => error.to_owned(),
    };
    (ended, proved.left)
}

async fn check(row: &str, trouble: Trouble, body: Body, wanted: &str, left: usize) {
    let world = world(trouble);
    let (ended, stays) = prove(&world, body).await;
    assert_eq!(ended, wanted, "{row}");
    assert_eq!(stays.len(), left, "{row}: {stays:?}");
    assert_eq!(world.store.records().unwrap().len(), left, "{row}: the journal");
    assert_eq!(world.place.standing.borrow().len(), left, "{row}: the DNS");
}

#[tokio::test]
async fn what_was_put_is_taken_away_however_it_ends() {
    check("it answers", Trouble::None, Body::Answers, "answer", 0).await;
    check("it fails", Trouble::None, Body::Fails, "the CA said no", 0).await;
    check("it is stopped", Trouble::None, Body::IsStopped, "stopped", 0).await;
    check("almost at its end", Trouble::None, Body::IsStoppedNearItsEnd, "answer", 0).await;
    check("a put fails", Trouble::PutFails, Body::Answers, "unready: no such zone", 0).await;
    check("stopped within a put", Trouble::SecondPutHangs, Body::Answers, "stopped", 0).await;
    check("never shows", Trouble::NeverShows, Body::Answers, "unready: ns1 lacks it", 0).await;
    check("it stays", Trouble::TakeAwayFails, Body::Answers, "answer", 2).await;
}

async fn ends_after(row: &str, body: Body, wanted: (&str, Duration)) {
    let world = world(Trouble::TakeAwayHangs);
    let began = Instant::now();
    let (ended, left) = prove(&world, body).await;
    assert_eq!((ended.as_str(), left.len()), (wanted.0, 2), "{row}");
    assert_eq!(began.elapsed().as_secs(), wanted.1.as_secs(), "{row}");
}

#[tokio::test(start_paused = true)]
async fn after_all_show_it_settles() {
    let world = world(Trouble::None);
    let settle = Duration::from_secs(90);
    world.prover.open.borrow_mut().entry("default".to_owned()).and_modify(|opened| {
        let Opened { dns, look, propagation, .. } = &**opened;
        let (dns, look) = (Rc::clone(dns), Rc::clone(look));
        let putting = Semaphore::new(SIDE_BY_SIDE);
        *opened = Rc::new(Opened { dns, look, propagation: *propagation, settle, putting });
    });
    let began = Instant::now();
    let (ended, left) = prove(&world, Body::Answers).await;
    assert_eq!((ended.as_str(), left.len()), ("answer", 0));
    assert_eq!(began.elapsed().as_secs(), settle.as_secs());
}

// The paused clock waits for the journal's threads.
#[tokio::test(start_paused = true)]
async fn taking_away_ends_in_time() {
    ends_after("stopped", Body::IsStopped, ("stopped", MOMENT + CLEAN_UP_WHEN_STOPPED)).await;
    ends_after("not stopped", Body::Answers, ("answer", CLEAN_UP + CLEAN_UP_EACH * 2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_names_at_a_slow_provider_have_their_time() {
    let world = world(Trouble::TakeAwayIsSlow);
    let names: Vec<_> = (0..100).map(|number| format!("_acme-challenge.{number}.test")).collect();
    for name in names.iter().flat_map(|name| [name, name]).enumerate() {
        let (number, name) = (name.0, name.1.clone());
        let record = Record { name, ..record(&number.to_string(), None, ORDER) };
        world.store.put_record(&record).unwrap();
    }
    assert_eq!(world.prover.abandon(LINEAGE, ORDER).await.unwrap(), Vec::<String>::new());
    assert_eq!(world.store.records().unwrap(), []);
}

/// Three lineages have left records that cannot be taken away: after so long, repairing ends.
async fn repair_ends(row: &str, stop_after: u64, wanted: (u64, usize)) {
    let world = world(Trouble::TakeAwayHangs);
    for lineage in ["a", "b", "c"] {
        let record = record(lineage, None, ORDER);
        world.store.put_record(&Record { lineage: lineage.to_owned(), ..record }).unwrap();
    }
    let began = Instant::now();
    let word = async {
        sleep(Duration::from_secs(stop_after)).await;
        world.prover.ground.stop.cancel();
    };
    let repaired = async {
        let left = world.prover.repair(&BTreeSet::new()).await.unwrap();
        (began.elapsed().as_secs(), left.len())
    };
    let ((), got) = futures_util::join!(word, repaired);
    assert_eq!(got, wanted, "{row}");
}

#[tokio::test(start_paused = true)]
async fn repairing_has_one_limit_and_hears_the_word_to_stop() {
    repair_ends("all of it", 1000, (REPAIR.as_secs(), 3)).await;
    // Of the lineages after the first, nothing was tried.
    repair_ends("stopped", 7, (7, 1)).await;
}

#[tokio::test]
async fn what_the_journal_knows_of_the_order_is_adopted() {
    let world = world(Trouble::None);
    world.store.put_record(&record("one", Some("id-old"), ORDER)).unwrap();
    world.store.put_record(&record("two", None, ORDER)).unwrap();
    world.store.put_record(&record("gone", Some("id-gone"), ORDER)).unwrap();
    let name = format!("_acme-challenge.{LINEAGE}");
    world.place.standing.borrow_mut().push((name, "one".to_owned()));
    let (ended, left) = prove(&world, Body::Answers).await;
    assert_eq!((ended.as_str(), left.len()), ("answer", 0));
    let mut calls = world.place.calls.take();
    calls.sort();
    assert_eq!(calls, ["put two", "take gone id-gone", "take one id-old", "take two id-two"]);
    assert_eq!(world.store.records().unwrap(), []);
}

#[tokio::test]
async fn an_abandoned_order_leaves_nothing() {
    let world = world(Trouble::None);
    world.store.put_record(&record("one", Some("id-one"), ORDER)).unwrap();
    world.store.put_record(&record("two", None, "https://ca.test/order/2")).unwrap();
    assert_eq!(world.prover.abandon(LINEAGE, ORDER).await.unwrap(), Vec::<String>::new());
    assert_eq!(world.place.calls.take(), ["take one id-one"]);
    assert_eq!(world.store.records().unwrap().len(), 1);
}

async fn repaired(row: &str, kept: &[&str], order: &str, wanted: &[&str]) {
    let world = world(Trouble::None);
    let under_way = Order {
        url: order.to_owned(),
        directory: "https://ca.test".to_owned(),
        account: String::new(),
        asked: String::new(),
        version: 1,
    };
    world.store.update_lineage(LINEAGE, |memory| memory.order = Some(under_way)).unwrap();
    world.store.put_record(&record("one", Some("id-one"), ORDER)).unwrap();
    world.store.put_record(&record("two", None, "https://ca.test/order/0")).unwrap();
    let left = world.prover.repair(&kept.iter().copied().collect()).await.unwrap();
    assert_eq!(left, Vec::<String>::new(), "{row}");
    let mut calls = world.place.calls.take();
    calls.sort();
    assert_eq!(calls, wanted, "{row}");
}

#[tokio::test]
async fn repair_takes_away_what_belongs_to_no_order_under_way() {
    repaired("one is under way", &[LINEAGE], ORDER, &["take two -"]).await;
    repaired("none is", &[LINEAGE], "https://ca.test/order/9", &["take one id-one", "take two -"])
        .await;
    repaired("the lineage is gone", &[], ORDER, &["take one id-one", "take two -"]).await;
}

#[tokio::test]
async fn what_was_surely_not_put_is_not_taken_away() {
    let world = world(Trouble::NotPut);
    let (ended, _left) = prove(&world, Body::Answers).await;
    assert_eq!(ended, "unready: refused");
    assert_eq!(world.place.calls.take(), ["put one"]);
    assert_eq!(world.store.records().unwrap(), []);
}

#[tokio::test]
async fn repair_lets_another_run_alone() {
    let world = world(Trouble::None);
    world.store.put_record(&record("one", None, "https://ca.test/order/0")).unwrap();
    let (stop, say) = (CancellationToken::new(), Say::nothing());
    let wait = Wait { until: None, stop: &stop, say: &say };
    let _held = world.store.lock_lineage(LINEAGE, wait).await.unwrap();
    world.prover.repair(&BTreeSet::from([LINEAGE])).await.unwrap();
    assert_eq!(world.place.calls.take(), Vec::<String>::new());
}

#[tokio::test]
async fn records_of_an_access_that_is_gone_stay_and_are_named() {
    let world = world(Trouble::None);
    let mut stray = record("one", None, "https://ca.test/order/0");
    stray.dns = "old".to_owned();
    world.store.put_record(&stray).unwrap();
    let left = world.prover.repair(&BTreeSet::from([LINEAGE])).await.unwrap();
    assert!(left.iter().all(|text| text.contains("[dns.old]")), "{left:?}");
    assert_eq!(left.len(), 1);
    assert_eq!(world.store.records().unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_to_prove_asks_nothing() {
    let world = world(Trouble::NeverShows);
    let purpose = Purpose { lineage: LINEAGE, dns: "default", order: ORDER };
    let mut seat = world.place.seats.seat();
    let body = async || Ok::<_, Infallible>(());
    let proved = world.prover.prove(purpose, &[], &mut seat, body).await;
    assert!(proved.result.is_ok());
    assert_eq!(world.place.calls.take(), Vec::<String>::new());
}
