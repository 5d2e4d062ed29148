//! ACME clients of others go from nothing to a certificate of the sandbox's CA, proved by the sandbox's DNS.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certferry_sandbox::ca::{self, Ending, Fault, Window};
use certferry_sandbox::dns::ResponseCode;
use certferry_sandbox::manage::Manage;
use certferry_sandbox::world::{Seed, World};

use super::adopts;
use super::client::{
    APEX, Certbot, Client, Dehydrated, Deploys, EMAIL, Left, Lego, Spot, Uacme, WILDCARD,
};
use super::names::exec;
use super::program::{Ran, need_debian};
use super::served;

const CHALLENGE: &str = "_acme-challenge.example.test";

/// A sandbox, and a spot for one client. `ca.pem` and `roots.pem` lie in its folder.
struct Place {
    world: World,
    // Only the hooks speak to it.
    _manage: Manage,
    spot: Spot,
    folder: tempfile::TempDir,
}

/// How a client is known, and what it can.
struct Known {
    /// What its User-Agent says.
    agent: &'static str,
    nonces: Nonces,
    way: Way,
}

/// What a client does when a good nonce is refused.
#[derive(PartialEq)]
enum Nonces {
    /// It tries again with another.
    Again,
    /// It gives up, against RFC 8555 section 6.5: it meets no refusal here.
    Once,
}

/// How the values come into the DNS.
#[derive(PartialEq)]
enum Way {
    /// By a hook and the sandbox's `manage`.
    Hook,
    /// By dynamic updates, signed with the world's TSIG key.
    Update,
}

impl Place {
    fn new() -> Self {
        let rules = |rules: &mut ca::Rules| rules.nonce_refusals = 0;
        let world = World::with(Seed { ca: ca::Seed::new().rules(rules), ..Seed::default() });
        let manage = Manage::start(world.dns.zones());
        let folder = tempfile::tempdir().unwrap();
        world.config(folder.path());
        let spot = Spot {
            directory: world.ca.directory_url(),
            tls_root: folder.path().join("ca.pem"),
            dns: world.dns.addresses()[0],
            ports: None,
            exec: exec(folder.path(), &manage.url()),
            folder: folder.path().to_owned(),
            vars: Vec::new(),
            certferry: PathBuf::new(),
            within: Vec::new(),
        };
        Self { world, _manage: manage, spot, folder }
    }

    /// The one certificate is what was asked for, and the CA and the DNS tell the same story.
    fn check(&self, known: &Known, left: &Left) {
        let row = known.agent;
        served::pair(row, &self.spot.at("roots.pem"), &left.chain, &left.key);
        let [certificate] = &self.world.ca.certificates()[..] else { panic!("{row}: not one") };
        assert_eq!(certificate.names, [WILDCARD, APEX], "{row}");
        let fingerprint = served::fingerprint(self.folder.path(), &left.chain);
        assert_eq!(fingerprint, certificate.fingerprint, "{row}");
        let [order] = &self.world.ca.orders()[..] else { panic!("{row}: not one order") };
        assert_eq!((&*order.status, &order.names), ("valid", &certificate.names), "{row}");
        assert_eq!(order.url, certificate.order, "{row}");
        assert_eq!(self.world.ca.accounts()[0].contact, [format!("mailto:{EMAIL}")], "{row}");
        for call in self.world.ca.all_calls() {
            let agent = &call.headers["user-agent"];
            assert!(agent.contains(known.agent), "{row}: {agent}");
        }
        assert_eq!(self.world.ca.faults_left(), 0, "{row}: the refused nonce was never met");
        self.check_dns(known);
    }

    /// Two values were put, and none is left.
    fn check_dns(&self, known: &Known) {
        let row = known.agent;
        assert_eq!(self.world.dns.zones().values(CHALLENGE, "TXT"), [""; 0], "{row}: left");
        let calls = fs::read_to_string(self.spot.at("calls")).unwrap_or_default();
        let count = |verb: &str| {
            let line = format!("{verb} {CHALLENGE}. ");
            calls.lines().filter(|call| call.starts_with(&line)).count()
        };
        let updates = self.world.dns.updates();
        match known.way {
            Way::Hook => {
                assert_eq!((count("present"), count("cleanup")), (2, 2), "{row}: {calls}");
                assert!(updates.is_empty(), "{row}: {updates:?}");
            }
            Way::Update => {
                assert_eq!(calls, "", "{row}");
                let key = Some(self.world.tsig_key().name.clone());
                let good = |code| code == ResponseCode::NoError;
                assert!(updates.len() >= 4, "{row}: two values put, and taken away: {updates:?}");
                assert!(
                    updates.iter().all(|one| one.key == key && good(one.answer)),
                    "{row}: {updates:?}"
                );
            }
        }
    }
}

fn check(known: &Known, client: Option<impl Client>) {
    check_by(known, client, |place, client| client.obtain(&place.spot));
}

fn check_by<C: Client>(known: &Known, client: Option<C>, obtain: impl FnOnce(&Place, &C) -> Ran) {
    let Some(client) = client else { return };
    for (name, package) in [("openssl", "openssl"), ("curl", "curl")] {
        if need_debian(name, package).is_none() {
            return;
        }
    }
    let place = Place::new();
    if known.nonces == Nonces::Again {
        place.world.ca.fault(Fault::at("newOrder").answer("badNonce", 400));
    }
    let ran = obtain(&place, &client);
    assert_eq!(ran.code, Some(0), "{}: {ran:#?}", known.agent);
    let left = client.left(&place.spot);
    let refused = |ending: &Ending| matches!(ending, Ending::Refused(_));
    for call in place.world.ca.all_calls().iter().filter(|call| refused(&call.ending)) {
        // uacme looks for an account of its key before it makes one.
        let looked = call.payload["onlyReturnExisting"] == true;
        assert!(looked, "{}: {} {:?}", known.agent, call.path, call.ending);
    }
    place.check(known, &left);
    let (_, home) = HOMES.into_iter().find(|(agent, _)| known.agent.starts_with(agent)).unwrap();
    adopts::check(known.agent, place.folder.path(), home, &left, &[WILDCARD, APEX]);
}

/// By the beginning of its User-Agent: a client's flag of `init`, and its folder here.
const HOMES: [(&str, (&str, &str)); 4] = [
    ("CertbotACMEClient/", ("certbot", "certbot/config")),
    ("xenolf-acme/", ("lego", "lego")),
    ("uacme/", ("uacme", "uacme")),
    ("dehydrated/", ("dehydrated", "dehydrated")),
];

fn knows(agent: &'static str) -> Known {
    Known { agent, nonces: Nonces::Again, way: Way::Hook }
}

#[test]
fn certbot_of_debian() {
    check(&knows("CertbotACMEClient/"), Certbot::of_debian(Deploys::No));
}

#[test]
fn certbot_of_pypi() {
    check(&knows("CertbotACMEClient/5."), Certbot::of_pypi(Deploys::No));
}

/// Both ways side by side: it waits five seconds before it looks at a challenge again.
fn check_lego(agent: &'static str, lego: impl Fn() -> Option<Lego> + Sync) {
    std::thread::scope(|scope| {
        scope.spawn(|| check(&knows(agent), lego()));
        scope.spawn(|| {
            let known = Known { way: Way::Update, ..knows(agent) };
            check_by(&known, lego(), |place, lego| {
                let key = place.world.tsig_key();
                lego.by_update(&place.spot, &key.name, &BASE64_STANDARD.encode(&key.secret))
            });
        });
    });
}

#[test]
fn lego_of_debian() {
    check_lego("xenolf-acme/", || Lego::of_debian(Deploys::No));
}

#[test]
fn lego_v5() {
    check_lego("xenolf-acme/5.", || Lego::v5(Deploys::No));
}

/// A client that asks when its certificate shall be renewed (ARI): at once here, and not again then. Does its order say
/// what it replaces?
fn heeds(row: &str, client: Option<impl Client>, tells: bool) {
    let Some(client) = client.filter(|_| need_debian("curl", "curl").is_some()) else { return };
    let place = Place::new();
    let ca = &place.world.ca;
    let obtain = || {
        let ran = client.obtain(&place.spot);
        assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    };
    obtain();
    let [first] = &ca.certificates()[..] else { panic!("{row}: not one") };
    ca.set_window(&first.serial, Window::Passed);
    obtain();
    obtain();
    let [replaced, second] = &ca.certificates()[..] else { panic!("{row}: not two") };
    assert_eq!((replaced.replaced, second.replaced), (tells, false), "{row}");
    let [_, order] = &ca.orders()[..] else { panic!("{row}: not two orders") };
    assert_eq!(order.replaces, tells.then(|| first.ari_id.clone()), "{row}");
    let path = format!("/renewal-info/{}", first.ari_id);
    assert!(ca.all_calls().iter().any(|call| call.path.ends_with(&path)), "{row}");
}

#[test]
fn the_newest_heed_renewal_information() {
    // Side by side: both mostly wait.
    std::thread::scope(|scope| {
        scope.spawn(|| heeds("lego v5", Lego::v5(Deploys::No), true));
        scope.spawn(|| heeds("certbot 5", Certbot::of_pypi(Deploys::No), false));
    });
}

#[test]
fn uacme() {
    check(&knows("uacme/"), Uacme::of_debian(Deploys::No));
}

#[test]
fn dehydrated() {
    let known = Known { nonces: Nonces::Once, ..knows("dehydrated/") };
    check(&known, Dehydrated::of_debian(Deploys::No));
}
