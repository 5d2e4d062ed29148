//! The real certbot issues by Pebble and calls certferry as its deploy hook; nobody reads the hook's exit status.

use std::fs;
use std::path::Path;
use std::process::Command;

use certferry_sandbox::cloud::Fault;

use super::pebble::{Tricks, over_both};
use super::program::{Ran, need_debian, run, script};
use super::served;
use super::world::{APEX, Ca as _, World};

/// The certificate's names as CDN domains.
const TARGETS: [&str; 2] = ["example.test", ".example.test"];

struct Certbot<'a> {
    program: &'a Path,
    world: &'a World,
}

/// The real binary, as certbot's command line gets it.
const HOOK: [&str; 2] = ["--deploy-hook", env!("CARGO_BIN_EXE_certferry")];

impl Certbot<'_> {
    /// Obtains the certificate by the two manual hooks.
    fn obtain(&self, deploy: &[&str]) -> Ran {
        let world = self.world;
        let exec = world.names().exec(world.folder());
        let [auth, cleanup] = ["present", "cleanup"].map(|verb| hook(world.folder(), &exec, verb));
        let mut args = vec!["certonly", "--server", world.ca.directory()];
        args.extend(["--agree-tos", "--email", "ops@example.test", "--no-eff-email"]);
        args.extend(["--manual", "--preferred-challenges", "dns"]);
        args.extend(["--manual-auth-hook", &auth, "--manual-cleanup-hook", &cleanup]);
        args.extend(["-d", APEX, "-d", "*.example.test"]);
        args.extend(deploy);
        self.run(&args)
    }

    /// As its timer does, but now.
    fn renew(&self) -> Ran {
        self.run(&["renew", "--force-renewal", "--no-random-sleep-on-renew"])
    }

    fn run(&self, args: &[&str]) -> Ran {
        let folder = self.world.folder();
        let mut command = Command::new(self.program);
        command.args(args).arg("--non-interactive");
        for name in ["config", "work", "logs"] {
            command.arg(format!("--{name}-dir")).arg(folder.join("certbot").join(name));
        }
        command.env("REQUESTS_CA_BUNDLE", self.world.ca.tls_root());
        // certferry by its name, for the hook file.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ours = Path::new(env!("CARGO_BIN_EXE_certferry")).parent().unwrap().to_owned();
        let path = std::iter::once(ours).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).unwrap());
        command.env("NO_PROXY", "localhost").env("CERTFERRY_CONFIG", self.world.config());
        let ran = run(command, folder);
        assert_eq!(ran.code, Some(0), "certbot {args:?}: {ran:#?}");
        ran
    }

    /// Every target serves what lies in certbot's folder.
    fn in_step(&self, row: &str) -> String {
        let live = self.world.folder().join("certbot/config/live/example.test/cert.pem");
        let issued = served::fingerprint(self.world.folder(), &live);
        for target in TARGETS {
            assert_eq!(served::check(self.world, target), issued, "{row}: {target}");
        }
        issued
    }
}

/// A hook of certbot's that lets `exec` put the value, or take it away.
pub(crate) fn hook(folder: &Path, exec: &Path, verb: &str) -> String {
    let text = format!(
        "#!/bin/sh\nexec '{}' {verb} \"_acme-challenge.$CERTBOT_DOMAIN.\" \"$CERTBOT_VALIDATION\"\n",
        exec.display()
    );
    script(&folder.join(verb), &text).display().to_string()
}

fn over_certbot(test: impl Fn(&Certbot<'_>)) {
    let programs = [("certbot", "certbot"), ("openssl", "openssl"), ("curl", "curl")];
    let found = programs.map(|(name, package)| need_debian(name, package));
    let [Some(program), Some(_), Some(_)] = &found else { return };
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        test(&Certbot { program, world: &world });
    });
}

#[test]
fn its_certificates_reach_the_cloud() {
    over_certbot(|certbot| {
        let world = certbot.world;
        let ran = certbot.obtain(&HOOK);
        assert!(!ran.stderr.contains("error output"), "stderr is an error to certbot: {ran:#?}");
        let first = certbot.in_step("obtained");
        let (status, ran) = world.report(&["status"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let claimed = &status["certificates"][0];
        assert_eq!(claimed["name"], APEX, "{status:#}");
        assert_eq!(claimed["renew_reason"], "issued by certbot", "{status:#}");
        assert_eq!(claimed["targets"].as_array().unwrap().len(), TARGETS.len(), "{status:#}");
        certbot.renew();
        assert_ne!(certbot.in_step("renewed"), first);
        assert_eq!(world.uploads(), 2 * TARGETS.len());
        let (report, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert_eq!(report["changed"], false, "{report:#}");
    });
}

#[test]
fn a_failed_hook_heals_with_no_entry_in_the_configuration() {
    over_certbot(|certbot| {
        let world = certbot.world;
        let refused = Fault::at("SetDomainServerCertificate").answer("Forbidden.RAM", 403);
        world.cloud.fault(refused.always());
        let ran = certbot.obtain(&HOOK);
        assert!(ran.stderr.contains("RAM does not allow"), "certbot shows it: {ran:#?}");
        assert!(TARGETS.iter().all(|target| world.cloud.served(target).is_none()));
        world.cloud.heal();
        let (report, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert_eq!(report["changed"], true, "{report:#}");
        certbot.in_step("healed");
        assert_eq!(world.orders(), 1, "certbot's own");
    });
}

#[test]
fn the_file_for_all_certificates_is_such_a_hook() {
    over_certbot(|certbot| {
        let world = certbot.world;
        certbot.obtain(&[]);
        assert_eq!(world.uploads(), 0);
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/certbot/certferry");
        let hooks = world.folder().join("certbot/config/renewal-hooks/deploy");
        script(&hooks.join("certferry"), &fs::read_to_string(ours).unwrap());
        certbot.renew();
        certbot.in_step("renewed");
    });
}
