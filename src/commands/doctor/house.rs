//! What is known without asking anybody: the configuration, files, the store.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use secrecy::SecretString;

use super::super::status::open_failures;
use super::super::{CONFIG, Refusal, said as read_file};
use super::issued;
use crate::cli::Global;
use crate::config::{Aliyun, Config, Errors, Provider, Trust};
use crate::dns::{Accesses, Keep};
use crate::doctor::{self, Check, Held, State, Way};
use crate::ground::Ground;
use crate::plan::{Lineage, Origin, Unusable, renewal};
use crate::run::{Run, default_store};
use crate::store::Store;
use crate::{look, secret, store, told};

/// The configuration as far as it can be read.
pub(super) struct Said {
    pub(super) config: Config,
    pub(super) checks: Vec<Check>,
    pub(super) is_wrong: bool,
    pub(super) knows_store: bool,
}

pub(super) fn said(global: &Global, ground: &Ground) -> Said {
    let without = || Config::without_file(default_store(ground));
    match read_file(global, ground) {
        Ok(Some((text, file))) => {
            let (config, errors) = Config::read_in_part(&text, &file);
            match errors {
                Some(errors) => wrong(config, &errors),
                None => meant(config),
            }
        }
        Ok(None) => {
            let text = "none: keys come from the environment, and only what hooks have asked for is kept in step";
            let check = Check::good("config", CONFIG, text);
            Said { config: without(), checks: vec![check], is_wrong: false, knows_store: true }
        }
        Err(Refusal::Wrong(text)) => unreadable(without(), &text),
        Err(Refusal::Failed(error)) => unreadable(without(), &told::text(&error)),
    }
}

/// A configuration with nothing wrong in it.
pub(super) fn meant(config: Config) -> Said {
    let file = config.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
    let check = Check::good("config", file, counted(&config));
    Said { config, checks: vec![check], is_wrong: false, knows_store: true }
}

fn unreadable(config: Config, text: &str) -> Said {
    let text = text.trim_end().strip_prefix("error: ").unwrap_or(text);
    let check = Check::new("config", "", State::Bad, text);
    Said { config, checks: vec![check, not_asked()], is_wrong: true, knows_store: false }
}

fn wrong(config: Config, errors: &Errors) -> Said {
    let check = |error: &crate::config::Error| {
        let line = error.line.map_or_else(String::new, |line| format!(":{line}"));
        let subject = format!("{}{line}", error.file.display());
        Check::new("config", subject, State::Bad, error.what.clone()).or_help(error.help.clone())
    };
    // A store that was said wrongly is not the default one.
    let is_of_store = |what: &str| what.contains("store") || what.contains("no TOML");
    let knows_store = !errors.errors.iter().any(|error| is_of_store(&error.what));
    let checks = errors.errors.iter().map(check).chain([not_asked()]).collect();
    Said { config, checks, is_wrong: true, knows_store }
}

/// Keys and names are not sent anywhere on the word of a configuration that is wrong.
fn not_asked() -> Check {
    let text = "CA, cloud and DNS were not asked";
    Check::new("network", "", State::Unknown, text)
        .or_help("correct the configuration, then ask again")
}

fn counted(config: &Config) -> String {
    let domains =
        config.certificates.iter().flat_map(|one| &one.deploy).map(|one| one.domains.len());
    let certificates = config.certificates.len();
    format!("certificates {certificates}, CDN domains {}", domains.sum::<usize>())
}

/// A run in which everything can be asked. Roots that cannot be read are told.
pub(super) fn open(config: Config, ground: Ground, checks: &mut Vec<Check>) -> Run {
    let store = Store::existing(&config.store.path).ok().flatten();
    let trusting_all = Config { trust: Trust::Any, ..config.clone() };
    match Run::new(config, store.clone(), ground.clone()) {
        Ok(run) => run,
        Err(error) => {
            checks.push(Check::bad("trust", "", &error));
            Run::trusting_all(trusting_all, store, ground)
        }
    }
}

/// Files of secrets, but for those of the accounts.
pub(super) fn secrets(run: &Run) -> Vec<Check> {
    let bindings = run.config.every_ca().filter_map(|acme| acme.eab.as_ref());
    let binding = bindings.map(|eab| eab.hmac_key_file.as_path());
    let mut checks: Vec<Check> = binding.map(|file| secret_file(run, file)).collect();
    let accesses = Accesses::new(&run.config, BTreeMap::new(), &run.ground);
    for (name, access) in &run.config.dns {
        let subject = match &access.provider {
            // Their secrets are the account's, or their program's own.
            Provider::Alidns { .. } | Provider::Exec { .. } => continue,
            Provider::Rfc2136 { key_file, .. } => key_file.display().to_string(),
            Provider::AcmeDns { .. } | Provider::Webhook { .. } | Provider::Library(_) => {
                format!("[dns.{name}]")
            }
        };
        checks.push(match accesses.open(name, Rc::new(Nothing)) {
            Ok(_access) => Check::good("secret", subject, format!("the key of [dns.{name}]")),
            Err(error) => Check::bad("secret", format!("[dns.{name}]"), &error),
        });
    }
    checks
}

/// Whoever only looks keeps nothing.
struct Nothing;

impl Keep for Nothing {
    fn read(&self, _server: &str, _domain: &str) -> anyhow::Result<Option<SecretString>> {
        Ok(None)
    }

    fn save(&self, _server: &str, _domain: &str, _account: &SecretString) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The secrets of the accounts, where nobody is asked with them.
pub(super) fn account_secrets(run: &Run) -> Vec<Check> {
    let keys = run.config.aliyun.values().filter_map(|Aliyun { keys, .. }| keys.as_ref());
    keys.map(|keys| secret_file(run, &keys.access_key_secret_file)).collect()
}

fn secret_file(run: &Run, file: &std::path::Path) -> Check {
    let subject = file.display().to_string();
    match secret::read(file, &run.ground.env, run.base()) {
        Ok(_secret) => Check::good("secret", subject, "can be read, and by nobody else"),
        Err(error) => Check::bad("secret", subject, &error),
    }
}

/// The store, and the timer by its note.
pub(super) fn store(run: &Run) -> Vec<Check> {
    let root = &run.config.store.path;
    let path = root.display().to_string();
    let room = match store::room(root) {
        Ok(room) => doctor::room(&path, room.exists, room.free, room.free_files),
        Err(error) => return vec![Check::bad("store", path, &error)],
    };
    let last = match run.store.as_ref().map(Store::last_renew) {
        Some(Err(error)) => return vec![room, Check::bad("timer", "", &error)],
        Some(Ok(last)) => last,
        None => None,
    };
    vec![room, doctor::timer(last, run.ground.clock.now())]
}

/// What the run has gathered for people.
pub(super) fn warnings(run: &Run) -> Vec<Check> {
    let warnings = run.warnings.take().into_iter();
    warnings.map(|text| Check::new("claims", "", State::Warning, text)).collect()
}

/// The certificates at hand.
pub(super) async fn certificates(run: &Run, lineages: &[Lineage]) -> Vec<Check> {
    let mut checks = Vec::new();
    for lineage in lineages {
        let seen = look::facts(lineage, &run.config, run.store.as_ref()).await.seen;
        let way = match lineage.origin {
            Origin::Issued(_) => Way::Ours,
            Origin::Source(_) | Origin::Claimed { .. } | Origin::Given => Way::Theirs,
        };
        let unusable =
            seen.unusable.as_ref().map(|(Unusable::Damaged(why) | Unusable::Unread(why))| why);
        let failures = open_failures(&seen);
        let held = Held {
            name: &lineage.name,
            way,
            leaf: seen.leaf.as_ref(),
            unusable: unusable.map(String::as_str),
            renews: renewal(&seen).map(|renewal| renewal.at),
            failed: failures.map(|failures| (failures.count, failures.error.as_str())),
        };
        checks.push(doctor::certificate(held, run.ground.clock.now()));
    }
    checks
}

/// The programs that put records.
pub(super) fn programs(run: &Run) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, access) in &run.config.dns {
        let Provider::Exec { program } = &access.provider else { continue };
        if !issued(run).any(|certificate| certificate.puts_by() == Some(name)) {
            continue;
        }
        let subject = program.display().to_string();
        let is_file = program.metadata().map(|facts| facts.is_file());
        let may_run = accessat(CWD, program, Access::EXEC_OK, AtFlags::EACCESS);
        checks.push(match (is_file, may_run) {
            (Ok(true), Ok(())) => {
                Check::good("program", subject, format!("[dns.{name}] can run it"))
            }
            (Ok(true), Err(error)) => {
                Check::new("program", &*subject, State::Bad, error.to_string())
                    .or_help(format!("chmod +x {subject}"))
            }
            (Ok(false), _) => Check::new("program", subject, State::Bad, "it is no file")
                .or_help(format!("name a program in [dns.{name}]")),
            (Err(error), _) => Check::new("program", subject, State::Bad, error.to_string())
                .or_help(format!("put it there, or name another in [dns.{name}]")),
        });
    }
    checks
}

/// What people write into a report of a fault.
pub(super) fn version() -> Check {
    Check::good("version", "", concat!("certferry ", env!("CARGO_PKG_VERSION")))
}
