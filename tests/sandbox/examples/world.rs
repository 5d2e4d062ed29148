//! The world by hand and for scripts: starts all of it, prints where everything is, and ends when stdin closes.
//!
//! cargo run -p certferry-sandbox --example world -- --folder /tmp/world

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program, small as it is")]

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use certferry_sandbox::manage::Manage;
use certferry_sandbox::world::{Provider, Seed, World};

const USAGE: &str = "\
usage: world [--folder DIR] [--zone NAME]... [--domain NAME]... [--rfc2136] [--eab] [--friendly] [--calls]
Starts DNS, cloud, metadata service, CA and edge, writes a certferry config into the folder (a new one if none is
given), prints a NAME=VALUE a line, and runs until stdin closes. The first --zone or --domain takes the place of the defaults.
--friendly refuses no good nonces. --calls prints the CA's calls and the DNS's updates at the end.";

/// What the command line asks for.
#[derive(Default)]
struct Wish {
    seed: Seed,
    folder: Option<PathBuf>,
    zones: Vec<String>,
    domains: Vec<String>,
    calls: bool,
}

fn main() -> ExitCode {
    match read(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("world: {error:#}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(wish: Wish) -> anyhow::Result<()> {
    let kept = tempfile::tempdir().context("a folder")?;
    let folder = wish.folder.unwrap_or_else(|| kept.path().to_owned());
    let world = World::with(wish.seed);
    let manage = Manage::start(world.dns.zones());
    let config = world.config(&folder);
    let beside = |name: &str| config.with_file_name(name).display().to_string();
    let servers = |all: &[std::net::SocketAddr]| {
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let key = world.tsig_key();
    let lines = [
        ("ACME", world.ca.directory_url()),
        ("ACME_ROOT", beside("ca.pem")),
        ("ISSUING_ROOTS", beside("roots.pem")),
        ("CLOUD", world.cloud.url()),
        ("METADATA", world.metadata.url()),
        ("CREDENTIALS_URI", world.metadata.credentials_uri()),
        ("DNS", servers(world.dns.addresses())),
        ("EDGE", servers(world.edge.addresses())),
        ("MANAGE", manage.url()),
        ("TSIG", format!("hmac-sha256:{}:{}", key.name, BASE64_STANDARD.encode(&key.secret))),
        ("CONFIG", config.display().to_string()),
    ];
    for (name, value) in lines {
        println!("{name}={value}");
    }
    // What comes is not looked at; only that it ends.
    std::io::stdin().read_to_end(&mut Vec::new()).context("stdin")?;
    if wish.calls {
        for call in world.ca.all_calls() {
            println!("{} {} {:?}", call.method, call.path, call.ending);
        }
        for update in world.dns.updates() {
            println!("{update:?}");
        }
    }
    Ok(())
}

fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Wish> {
    let mut wish = Wish::default();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--folder" => wish.folder = Some(value()?.into()),
            "--zone" => wish.zones.push(value()?),
            "--domain" => wish.domains.push(value()?),
            "--rfc2136" => wish.seed.provider = Provider::Rfc2136,
            "--eab" => {
                wish.seed.ca = wish.seed.ca.rules(|rules| {
                    rules.eab_required = true;
                    rules.eab_keys.insert("kid-1".to_owned(), b"sandbox-eab-key".to_vec());
                });
            }
            "--friendly" => wish.seed.ca = wish.seed.ca.rules(|rules| rules.nonce_refusals = 0),
            "--calls" => wish.calls = true,
            other => bail!("unknown flag {other}"),
        }
    }
    if !wish.zones.is_empty() {
        wish.seed.zones = std::mem::take(&mut wish.zones);
    }
    if !wish.domains.is_empty() {
        wish.seed.domains = std::mem::take(&mut wish.domains);
    }
    Ok(wish)
}
