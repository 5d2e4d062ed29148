//! Each ACME client for real: it issues by Pebble and calls certferry, wired as `hooks/CLIENT/README.md` says; its next
//! certificate replaces the first; what the cloud refused heals by `renew`, with no further order.

use certferry_sandbox::cloud::Fault;

use super::client::{Certbot, Client, Left, Spot};
use super::pebble::{Tricks, over_one};
use super::program::{Ran, need_debian};
use super::served;
use super::world::{APEX, World};

/// The CDN domains that stand for the names of the certificate of most clients.
pub(crate) const BOTH: [&str; 2] = ["example.test", ".example.test"];

/// A client and what is its own about it.
struct Row {
    /// As `status` shows it.
    client: &'static str,
    /// The CDN domains that stand for its certificate's names.
    targets: &'static [&'static str],
    minds: Minds,
}

/// What a client makes of a hook that failed.
enum Minds {
    /// It ends as if nothing had been.
    Nothing,
}

impl Row {
    const fn of(client: &'static str, minds: Minds) -> Self {
        Self { client, targets: &BOTH, minds }
    }
}

/// A client at work in a world.
struct AtWork<'a> {
    row: &'a Row,
    client: &'a dyn Client,
    world: &'a World,
    spot: Spot,
}

impl AtWork<'_> {
    /// The client ends well.
    fn well(&self, ran: &Ran) {
        assert_eq!(ran.code, Some(0), "{}: {ran:#?}", self.row.client);
    }

    fn in_step(&self, ran: &Ran) -> String {
        let row = format!("{}: {ran:#?}", self.row.client);
        in_step(&row, self.world, &self.client.left(&self.spot), self.row.targets)
    }

    /// The claim is known, and nothing is left to do.
    fn settled(&self) {
        let row = self.row.client;
        let (status, ran) = self.world.report(&["status"]);
        assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
        let [claimed] = &status["certificates"].as_array().unwrap()[..] else {
            panic!("{row}: not one: {status:#}");
        };
        assert_eq!(claimed["name"], APEX, "{row}: {status:#}");
        assert_eq!(claimed["renew_reason"], format!("issued by {row}"), "{status:#}");
        let targets = claimed["targets"].as_array().unwrap();
        assert_eq!(targets.len(), self.row.targets.len(), "{row}: {status:#}");
        let uploads = self.world.uploads();
        let (report, ran) = self.world.report(&["renew"]);
        assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
        assert_eq!(report["changed"], false, "{row}: {report:#}");
        assert_eq!(self.world.uploads(), uploads, "{row}");
    }

    fn replaces(&self) {
        let first = self.client.obtain(&self.spot);
        self.well(&first);
        let first = self.in_step(&first);
        self.settled();
        let second = self.client.again(&self.spot);
        self.well(&second);
        assert_ne!(self.in_step(&second), first, "{}", self.row.client);
        assert_eq!(self.world.uploads(), 2 * self.row.targets.len(), "{}", self.row.client);
    }

    fn heals(&self) {
        let row = self.row.client;
        let served = |target: &str| self.world.cloud.served_fingerprint(target);
        let before = served(self.row.targets[0]);
        let refused = Fault::at("SetDomainServerCertificate").answer("Forbidden.RAM", 403);
        self.world.cloud.fault(refused.always());
        let ran = self.client.again(&self.spot);
        match self.row.minds {
            Minds::Nothing => self.well(&ran),
        }
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains("RAM does not allow"), "{row} shows it: {said}");
        assert!(self.row.targets.iter().all(|target| served(target) == before), "{row}");
        self.world.cloud.heal();
        let orders = self.world.orders();
        let (report, ran) = self.world.report(&["renew"]);
        assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
        assert_eq!(report["changed"], true, "{row}: {report:#}");
        assert_ne!(Some(self.in_step(&ran)), before, "{row}");
        assert_eq!(self.world.orders(), orders, "{row}: its own");
    }
}

/// Every target serves what lies on the client's disk; answers its fingerprint.
pub(crate) fn in_step(row: &str, world: &World, left: &Left, targets: &[&str]) -> String {
    let issued = served::fingerprint(world.folder(), &left.chain);
    for target in targets {
        let served = world.cloud.served_fingerprint(target);
        assert_eq!(served.as_ref(), Some(&issued), "{target}, by {row}");
        served::check(world, target);
    }
    issued
}

fn check(row: &Row, client: Option<impl Client>) {
    let needed = ["openssl", "curl"].map(|name| need_debian(name, name));
    let (Some(client), [Some(_), Some(_)]) = (client, needed) else { return };
    over_one(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let at_work = AtWork { row, client: &client, world: &world, spot: world.spot() };
        at_work.replaces();
        at_work.heals();
    });
}

const CERTBOT: Row = Row::of("certbot", Minds::Nothing);

#[test]
fn certbot_of_debian() {
    check(&CERTBOT, Certbot::of_debian(&["--deploy-hook", "certferry"]));
}

#[test]
fn certbot_of_pypi() {
    check(&CERTBOT, Certbot::of_pypi(&["--deploy-hook", "certferry"]));
}
