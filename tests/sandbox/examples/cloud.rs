//! The cloud by hand and for scripts: prints its URL, then serves until stdin closes.
//!
//! cargo run -p certferry-sandbox --example cloud -- --key id:secret --domain cdn.example.com --zone example.com

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program, small as it is")]

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, bail};
use certferry_sandbox::cloud::{Account, Cloud, Domain, KeyFormat, Seed, Zone};

const USAGE: &str = "\
usage: cloud [--key ID:SECRET[:TOKEN]]... [--domain NAME[=STATUS]]... [--zone NAME]...
             [--challtestsrv URL] [--pkcs8] [--calls]
Prints the URL of the CDN's and alidns's endpoint, and serves until stdin closes.
--calls prints each call's action and ending at the end.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloud: {error:#}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<()> {
    let (seed, calls) = read(std::env::args().skip(1))?;
    let cloud = Cloud::start(seed);
    println!("{}", cloud.url());
    // What comes is not looked at; only that it ends.
    std::io::stdin().read_to_end(&mut Vec::new()).context("stdin")?;
    if calls {
        for call in cloud.all_calls() {
            println!("{} {:?}", call.action, call.ending);
        }
    }
    Ok(())
}

fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<(Seed, bool)> {
    let (mut seed, mut calls) = (Seed::new(), false);
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        seed = match flag.as_str() {
            "--key" => seed.account(account(&value()?)?),
            "--domain" => seed.domain(domain(&value()?)),
            "--zone" => seed.zone(Zone::new(value()?)),
            "--challtestsrv" => seed.challtestsrv(value()?),
            "--pkcs8" => seed.rules(|rules| rules.key_format = KeyFormat::Any),
            "--calls" => {
                calls = true;
                seed
            }
            other => bail!("unknown flag {other}"),
        };
    }
    Ok((seed, calls))
}

fn account(text: &str) -> anyhow::Result<Account> {
    let (id, rest) = text.split_once(':').context("--key is ID:SECRET[:TOKEN]")?;
    Ok(match rest.split_once(':') {
        None => Account::new(id, rest),
        Some((secret, token)) => Account::new(id, secret).token(token),
    })
}

fn domain(text: &str) -> Domain {
    let (name, status) = text.split_once('=').unwrap_or((text, "online"));
    Domain::with_status(name, status)
}
