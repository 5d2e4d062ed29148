//! Each ACME client for real: it issues by Pebble and calls certferry, wired as `hooks/CLIENT/README.md` says; its next
//! certificate replaces the first; what the cloud refused heals by `renew`, with no further order.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use certferry_sandbox::cloud::Fault;

use super::client::{
    AcmeSh, Acmetool, Caddy, Certbot, Client, Dehydrated, Deploys, Left, Lego, Spot, Uacme, Wired,
};
use super::pebble::{self, Flavour, Tricks, over_one};
use super::program::Ran;
use super::served;
use super::world::{APEX, World};

/// The CDN domains that stand for the names of the certificate of most clients.
pub(crate) const BOTH: [&str; 2] = ["example.test", ".example.test"];

/// A client and what is its own about it.
struct Row {
    /// As `status` shows it.
    client: &'static str,
    /// What its certificate is called.
    name: &'static str,
    /// The CDN domains that stand for its certificate's names.
    targets: &'static [&'static str],
    minds: Minds,
    /// The Pebble with which it can speak.
    pebble: fn() -> Option<Flavour>,
}

/// What a client makes of a hook that failed.
enum Minds {
    /// It ends as if nothing had been.
    Nothing,
    /// It fails itself, with this status.
    Fails(i32),
}

impl Row {
    const fn of(client: &'static str, minds: Minds) -> Self {
        Self { client, name: APEX, targets: &BOTH, minds, pebble: pebble::one }
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
        assert_eq!(claimed["name"], self.row.name, "{row}: {status:#}");
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

    /// The client gets a certificate that the cloud refuses; then the cloud is well again.
    fn refused(&self, obtain: impl FnOnce() -> Ran) {
        let row = self.row.client;
        let served = || self.row.targets.iter().map(|target| self.world.cloud.served(target));
        let before: Vec<_> = served().collect();
        let refused = Fault::at("SetDomainServerCertificate").answer("Forbidden.RAM", 403);
        self.world.cloud.fault(refused.always());
        let ran = obtain();
        match self.row.minds {
            Minds::Nothing => self.well(&ran),
            Minds::Fails(code) => assert_eq!(ran.code, Some(code), "{row}: {ran:#?}"),
        }
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains("RAM does not allow"), "{row} shows it: {said}");
        assert!(served().eq(before), "{row}");
        self.world.cloud.heal();
    }

    fn heals(&self) {
        let row = self.row.client;
        let before = self.world.cloud.served_fingerprint(self.row.targets[0]);
        self.refused(|| self.client.again(&self.spot));
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
    let Some(client) = client.filter(|_| served::can_be_judged()) else { return };
    let Some(flavour) = (row.pebble)() else { return };
    let world = World::new(&flavour, Tricks::NONE);
    let spot = world.spot();
    check_in(&AtWork { row, client: &client, world: &world, spot });
}

fn check_in(at_work: &AtWork<'_>) {
    at_work.replaces();
    at_work.heals();
}

const CERTBOT: Row = Row::of("certbot", Minds::Nothing);

#[test]
fn certbot_of_debian() {
    check(&CERTBOT, Certbot::of_debian(Deploys::Yes));
}

#[test]
fn certbot_of_pypi() {
    check(&CERTBOT, Certbot::of_pypi(Deploys::Yes));
}

#[test]
fn dehydrated() {
    check(&Row::of("dehydrated", Minds::Fails(1)), Dehydrated::of_debian(Deploys::Yes));
}

#[test]
fn uacme() {
    // It gives up on a challenge without a token, as the newest Pebble's dns-persist-01 is.
    let row = Row { pebble: pebble::debian, ..Row::of("uacme", Minds::Fails(2)) };
    check(&row, Uacme::of_debian(Deploys::Yes));
}

const ACME_SH: Row = Row::of("acme.sh", Minds::Fails(1));

/// What it is told at the first call, acme.sh keeps.
#[test]
fn acme_sh_by_its_deploy_hook() {
    let row = Row { targets: &["cdn.example.test", ".example.test"], ..ACME_SH };
    check(&row, AcmeSh::by_contract(Wired::DeployHook("cdn.example.test,*.example.test")));
}

#[test]
fn acme_sh_by_its_reloadcmd() {
    check(&ACME_SH, AcmeSh::by_contract(Wired::ReloadCmd));
}

const ACMETOOL: Row = Row {
    name: "*.example.test",
    targets: &[".example.test"],
    ..Row::of("acmetool", Minds::Nothing)
};

/// Side by side: lego waits five seconds before it looks at a challenge again, and so does acmetool.
#[test]
fn those_that_mostly_wait() {
    let lego = Row::of("lego", Minds::Fails(1));
    std::thread::scope(|scope| {
        scope.spawn(|| check(&lego, Lego::of_debian(Deploys::Yes)));
        scope.spawn(|| check(&lego, Lego::v5(Deploys::Yes)));
        scope.spawn(|| check(&ACMETOOL, Acmetool::of_debian(Deploys::Yes)));
    });
}

/// Nobody reads how its commands end; here the hook's own status is seen.
const CADDY: Row = Row { targets: &["example.test"], ..Row::of("caddy", Minds::Fails(1)) };

#[test]
fn caddy() {
    check(&CADDY, Caddy::newest());
}

/// As it is run: by a user of its own, who has a configuration and a store of its own.
#[test]
fn caddy_as_another_user_than_root() {
    let Some(mut caddy) = Caddy::newest().filter(|_| served::can_be_judged()) else { return };
    let Some(flavour) = pebble::one() else { return };
    let mut world = World::new(&flavour, Tricks::NONE);
    let mut spot = world.spot();
    // Who is no root has tried it by the test above.
    if rustix::process::geteuid().is_root() {
        // This user may not reach the folders in which they were built.
        for program in [&mut caddy.program, &mut spot.certferry] {
            let copy = spot.folder.join(program.file_name().unwrap()).with_extension("own");
            fs::copy(&*program, &copy).unwrap();
            *program = copy;
        }
        (spot.within, world.within) = as_nobody(&spot);
    }
    check_in(&AtWork { row: &CADDY, client: &caddy, world: &world, spot });
    assert_ne!(fs::metadata(world.store()).unwrap().uid(), 0, "the store's owner");
}

/// Gives the folder to the user nobody; what runs a client as that user, and what runs its certferry.
fn as_nobody(spot: &Spot) -> (Vec<String>, Vec<String>) {
    let chown = Command::new("chown").args(["-R", "65534:65534"]).arg(&spot.folder).status();
    assert!(chown.unwrap().success());
    let run = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let run = run.map(str::to_owned).to_vec();
    let own = format!("shift; exec '{}' \"$@\"", spot.certferry.display());
    let instead = ["sh", "-c", &own, "sh"].map(str::to_owned);
    (run.clone(), [run, instead.to_vec()].concat())
}

/// A client whose first hook failed asks for it again, with no further order.
fn repairs<C: Client>(row: &Row, client: Option<C>, ask: impl Fn(&C, &Spot) -> Ran) {
    let Some(client) = client.filter(|_| served::can_be_judged()) else { return };
    over_one(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let at_work = AtWork { row, client: &client, world: &world, spot: world.spot() };
        at_work.refused(|| client.obtain(&at_work.spot));
        let ran = ask(&client, &at_work.spot);
        at_work.well(&ran);
        at_work.in_step(&ran);
        assert_eq!(world.orders(), 1, "{}", row.client);
    });
}

#[test]
fn dehydrated_repairs_in_each_run_of_its_cron_job() {
    let row = Row::of("dehydrated", Minds::Fails(1));
    repairs(&row, Dehydrated::of_debian(Deploys::Yes), |client, spot| client.cron(spot, &[]));
}

#[test]
fn acmetool_repairs_when_told_to() {
    repairs(&ACMETOOL, Acmetool::of_debian(Deploys::Yes), Acmetool::notify);
}

/// Else it would take a challenge for put, and the CA would look for it in vain.
#[test]
fn acmetool_hears_that_a_challenge_is_not_ours() {
    let Some(client) = Acmetool::of_debian(Deploys::Yes) else { return };
    over_one(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let ran = client.obtain_alone(&world.spot());
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        let said = "could not install DNS challenge, no hooks succeeded";
        assert!(ran.stderr.contains(said), "{ran:#?}");
    });
}
