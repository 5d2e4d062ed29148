//! `hook`: another ACME client has a new certificate. Only a hint to run early: the claim comes first.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Ended, Form, Refusal, claims, configured_or_not, told_error};
use crate::cli::{Global, Hook as Flags};
use crate::config::{CdnDomain, Certificate, Config, Target};
use crate::ground::Ground;
use crate::hook::{self, Event};
use crate::journal::Claim;
use crate::look;
use crate::plan::{Asked, CertOutcome, Conflict, Lineage, Origin, Owned, TargetOutcome, ownership};
use crate::report::{CertificateEnd, Ends, ErrorEnd, Meanwhile, Report, TargetEnd};
use crate::run::Run;
use crate::store::Store;
use crate::{told, walk};

/// A timer that has not run for two days does not run: it is set to every hour.
const TIMER_RUNS: SignedDuration = SignedDuration::from_hours(48);

/// What the hook was asked to do.
struct Wish {
    /// The folder by which the lineage is known: the config's, if the config has it.
    event: Event,
    /// What is left in the store; none where the config says all of it.
    claim: Option<Claim>,
    /// The account of guessed targets.
    aliyun: String,
}

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let started = ground.clock.now();
    let deadline = Instant::now() + Duration::from_secs(flags.deadline);
    let event = hook::certbot(|name| ground.env.var(name))
        .map_err(|error| Refusal::Wrong(told_error(&error.into())))?;
    let config = configured_or_not(global, &ground)?;
    let wish = wish(flags, event, &config, started)?;
    let (store, forgotten) = remember(&config, wish.claim.as_ref());
    let mut run = Run::new(config, store, ground)?;
    run.deadline = Some(deadline);
    let remembered = forgotten.is_none();
    if let Some(why) = forgotten {
        run.warn(format!("not remembered, so `certferry renew` will not keep it in step: {why}"));
    }
    let ends = keep_in_step(&run, &wish).await?;
    let ends = hand_over(&run, ends);
    let mut report = Report::new("hook", started, run.ground.clock.now(), ends);
    report.remembered = Some(remembered);
    Ok(Ended::of(&report, global, Form::from(flags.json)))
}

/// What this call means, by the flags, then the config, then the certificate's names.
fn wish(flags: &Flags, mut event: Event, config: &Config, now: Timestamp) -> Result<Wish, Refusal> {
    let aliyun = flags.aliyun.clone().unwrap_or_else(|| "default".to_owned());
    if !config.aliyun.contains_key(&aliyun) {
        return Err(Refusal::Wrong(format!(
            "error: the configuration has no [aliyun.{aliyun}]\n  help: add it, or name another by --aliyun\n"
        )));
    }
    let configured = configured_lineage(config, &event);
    if let Some(source) = configured.and_then(|certificate| certificate.source.clone()) {
        event.source = source;
    }
    if configured.is_some() && flags.domains.is_empty() {
        return Ok(Wish { event, claim: None, aliyun });
    }
    let guessed = flags.domains.is_empty();
    let wanted = if guessed { &event.names } else { &flags.domains };
    let targets = targets(wanted, &aliyun)?;
    let claim = Claim {
        client: event.client.to_owned(),
        source: event.source.clone(),
        name: event.name.clone(),
        names: event.names.clone(),
        targets,
        guessed,
        at: now,
    };
    Ok(Wish { event, claim: Some(claim), aliyun })
}

/// The certificate of the config that is this lineage: by its folder, else a `source` of the same name.
fn configured_lineage<'a>(config: &'a Config, event: &Event) -> Option<&'a Certificate> {
    let sources = || config.certificates.iter().filter(|certificate| certificate.source.is_some());
    sources()
        .find(|certificate| certificate.source.as_ref() == Some(&event.source))
        .or_else(|| sources().find(|certificate| certificate.name == event.name))
}

pub(super) fn targets(wanted: &[String], aliyun: &str) -> Result<Vec<Target>, Refusal> {
    let read = |written: &String| {
        let domain = CdnDomain::read(written).map_err(|why| bad_domain(written, &why))?;
        Ok(Target { aliyun: aliyun.to_owned(), domain })
    };
    wanted.iter().map(read).collect()
}

/// A CDN domain that is none.
pub(super) fn bad_domain(written: &str, why: &str) -> Refusal {
    let what = format!("the CDN domain `{written}` {why}");
    Refusal::Wrong(told::lines(
        "error",
        &what,
        "write it as cdn.example.com, a wildcard CDN domain as *.example.com",
    ))
}

/// Leaves the claim in the store, under no lock. An unwritable store never stops the upload: it comes back as why.
fn remember(config: &Config, claim: Option<&Claim>) -> (Option<Store>, Option<String>) {
    let path = &config.store.path;
    let opened = Store::open(path).and_then(|store| match claim {
        Some(claim) => store.put_claim(claim).map(|()| store),
        None => Ok(store),
    });
    match opened {
        Ok(store) => (Some(store), None),
        Err(error) => {
            let readable = Store::existing(path).ok().flatten();
            let why = claim.map(|_| format!("{error:#}"));
            (readable, why)
        }
    }
}

async fn keep_in_step(run: &Run, wish: &Wish) -> Result<Ends, Refusal> {
    let mut all = claims::stored(run).unwrap_or_default();
    tell_takeovers(run, wish, &all);
    if let Some(claim) = &wish.claim {
        all.retain(|old| (&old.client, &old.source) != (&claim.client, &claim.source));
        all.push(claim.clone());
    }
    let settled = claims::settled(run, all).await;
    let owners = ownership(&run.config, &settled);
    let Some(lineage) = owners.lineages.iter().find(|lineage| is_this(lineage, &wish.event)) else {
        return Err(Refusal::Failed(anyhow::anyhow!(
            "the lineage {} has no owner",
            wish.event.name
        )));
    };
    let refused: Vec<_> =
        owners.conflicts.iter().filter(|one| one.lineage == lineage.name).collect();
    let mut ends = walk(run, std::slice::from_ref(lineage), &Asked::default()).await;
    ends.targets.extend(refused.iter().copied().map(owned_by_config));
    ends.targets.extend(skipped(wish, lineage, &refused));
    if lineage.targets.is_empty() && refused.is_empty() {
        ends.certificates = vec![no_target(run, wish, lineage).await];
    }
    Ok(ends)
}

fn is_this(lineage: &Lineage, event: &Event) -> bool {
    match &lineage.origin {
        Origin::Source(source) | Origin::Claimed { source, .. } => *source == event.source,
        Origin::Issued(_) => false,
    }
}

/// A target that an earlier claim held until now: people shall know.
fn tell_takeovers(run: &Run, wish: &Wish, earlier: &[Claim]) {
    let Some(claim) = &wish.claim else { return };
    for old in earlier.iter().filter(|old| old.source != claim.source && !old.guessed) {
        for target in
            claim.targets.iter().filter(|target| !claim.guessed && old.targets.contains(target))
        {
            run.ground.say.line(format!(
                "{}: from {} ({}) over to {} ({})",
                target.domain.written, old.name, old.client, claim.name, claim.client
            ));
        }
    }
}

pub(super) fn owned_by_config(conflict: &Conflict) -> TargetEnd {
    let owned = Owned {
        target: conflict.target.clone(),
        verify: crate::config::Verify::Readback,
        cert_name: None,
        guessed: false,
    };
    let why = format!("the configuration gives it to {}", conflict.owner);
    let mut end = TargetEnd::new(&conflict.lineage, &owned, TargetOutcome::Refused, why.as_str());
    end.error = Some(ErrorEnd {
        code: "OwnedByAnother".to_owned(),
        message: why,
        help: format!(
            "take it out of the certificate {} in the configuration, or do not name it here",
            conflict.owner
        ),
        request_id: None,
        retryable: false,
    });
    end
}

/// The names that are no CDN domain of the account.
fn skipped(wish: &Wish, lineage: &Lineage, refused: &[&Conflict]) -> Vec<TargetEnd> {
    let Some(claim) = wish.claim.as_ref().filter(|claim| claim.guessed) else { return Vec::new() };
    let kept = |target: &Target| {
        lineage.targets.iter().any(|owned| owned.target == *target)
            || refused.iter().any(|conflict| conflict.target == *target)
    };
    let end = |target: &Target| {
        let owned = Owned {
            target: target.clone(),
            verify: crate::config::Verify::Readback,
            cert_name: None,
            guessed: true,
        };
        let why = format!("it is no CDN domain of the account `{}`", wish.aliyun);
        TargetEnd::new(&lineage.name, &owned, TargetOutcome::Skipped, why)
    };
    claim.targets.iter().filter(|target| !kept(target)).map(end).collect()
}

/// No target is left: what the certificate would cover, and the exact flag to type.
async fn no_target(run: &Run, wish: &Wish, lineage: &Lineage) -> CertificateEnd {
    let disk = look::disk(lineage, &run.config, run.store.as_ref()).await;
    let leaf = disk.seen.leaf.as_ref();
    let mut end = CertificateEnd::new(
        lineage,
        leaf,
        CertOutcome::Failed,
        "there is no CDN domain to put it onto",
    );
    if let Some(why) = &disk.seen.unreadable {
        end.error = Some(ErrorEnd::of(&anyhow::anyhow!("{why}"), "source"));
        return end;
    }
    let domains = claims::cdn_domains(run, &wish.aliyun).await;
    let covered: Vec<String> = domains
        .iter()
        .flatten()
        .filter(|domain| leaf.is_some_and(|leaf| leaf.covers(domain)))
        .map(|domain| format!("--domain '{domain}'"))
        .collect();
    let help = match (domains, covered.is_empty()) {
        (None, _) => "name the CDN domains: --domain cdn.example.com (the account's list may not be read: RAM action cdn:DescribeUserDomains)".to_owned(),
        (Some(_), true) => format!("the certificate covers no CDN domain of the account `{}`; is it another account? --aliyun NAME", wish.aliyun),
        (Some(_), false) => format!("the certificate covers CDN domains of the account; name those that shall serve it: certferry hook {}", covered.join(" ")),
    };
    end.error = Some(ErrorEnd {
        code: "NoTarget".to_owned(),
        message: format!(
            "none of its names is a CDN domain of the account `{}`: {}",
            wish.aliyun,
            lineage.names.join(", ")
        ),
        help,
        request_id: None,
        retryable: false,
    });
    end
}

/// What is not done is left to the timer, if one runs.
fn hand_over(run: &Run, mut ends: Ends) -> Ends {
    let runs = timer_runs(run);
    let mut left = false;
    for end in ends.targets.iter_mut().filter(|end| is_for_the_next_run(end)) {
        if let Some(error) = end.error.as_ref().filter(|_| end.outcome == TargetOutcome::Failed) {
            end.reason = format!("{}; left to `certferry renew`", error.message);
        }
        end.outcome = TargetOutcome::Waiting;
        if runs {
            end.meanwhile = Meanwhile::Timer;
        }
        left |= end.meanwhile == Meanwhile::Nothing;
    }
    if left {
        run.warn("`certferry renew` would finish this, but has not run in the last 48 hours\nhelp: `systemctl enable --now certferry.timer`, or `certferry renew` once an hour by cron");
    }
    ends.warnings.extend(run.warnings.take());
    ends
}

/// Not done, and the next run may do it.
fn is_for_the_next_run(end: &TargetEnd) -> bool {
    let again = end.error.as_ref().is_some_and(|error| error.retryable);
    end.outcome == TargetOutcome::Waiting || end.outcome == TargetOutcome::Failed && again
}

fn timer_runs(run: &Run) -> bool {
    let last = run.store.as_ref().and_then(|store| store.last_renew().ok().flatten());
    last.is_some_and(|last| run.ground.clock.now().duration_since(last) < TIMER_RUNS)
}
