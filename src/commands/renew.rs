//! `renew`: the timer's job.

use jiff::SignedDuration;

use super::{Ended, Form, Refusal, claims, configured_or_not, open};
use crate::cli::{Global, Renew};
use crate::config::Config;
use crate::ground::Ground;
use crate::plan::{Asked, Force, Lineage};
use crate::report::Report;
use crate::run::Run;
use crate::store::Store;
use crate::{told, walk};

/// The timer of the package.
const HOURLY: SignedDuration = SignedDuration::from_hours(1);

/// The slowest crontab that makes sense.
const DAILY: SignedDuration = SignedDuration::from_hours(24);

pub(super) async fn run(flags: &Renew, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let started = ground.clock.now();
    let config = configured_or_not(global, &ground)?;
    let store = Store::open(&config.store.path)?;
    let mut run = open(config, Some(store), ground)?;
    run.tick = tick(&run);
    let (lineages, discovery) = claims::lineages(&run, &flags.names).await?;
    discovery.remember(&run).await;
    refuse_nothing(&run.config, &lineages)?;
    let asked = asked(flags, &lineages)?;
    let (mut ends, ()) = tokio::join!(walk(&run, &lineages, &asked), run.repair(&lineages));
    run.drop_unpinned().await;
    discovery.tell(&mut ends);
    run.keep(move |store| store.note_renew(started)).await;
    ends.warnings.extend(run.take_warnings());
    let report = Report::new("renew", started, run.ground.clock.now(), ends);
    Ok(Ended::of(&report, global, Form::from(flags.json)))
}

/// How long until the next run, by the last two: an hour at least, as the timer has it, whoever runs it by hand in
/// between; a day at most, as slow crontabs have it, however long the machine was off.
pub(super) fn tick(run: &Run) -> Option<SignedDuration> {
    let noted = run.store.as_ref()?.renew_interval();
    let interval = noted.unwrap_or_else(|damaged| {
        run.warn(told::text(&damaged));
        None
    })?;
    Some(interval.clamp(HOURLY, DAILY))
}

/// What was asked for by hand: every name must be known.
fn asked(flags: &Renew, lineages: &[Lineage]) -> Result<Asked, Refusal> {
    known(&flags.names, lineages)?;
    if flags.force && flags.names.is_empty() && lineages.len() > 1 {
        return Err(Refusal::Wrong(
            "error: --force without a name would renew every certificate at once\n  help: name the ones that are due now: `certferry renew NAME --force`\n".to_owned(),
        ));
    }
    let force = if flags.force { Force::Yes } else { Force::No };
    Ok(Asked { names: flags.names.clone(), force })
}

/// Every name is a lineage's.
pub(super) fn known(names: &[String], lineages: &[Lineage]) -> Result<(), Refusal> {
    let all: Vec<&str> = lineages.iter().map(|lineage| lineage.name.as_str()).collect();
    let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) else {
        return Ok(());
    };
    let near = crate::config::nearest(unknown, &all);
    let help = match (near, all.is_empty()) {
        (Some(near), _) => format!("is it `{near}`?"),
        (None, false) => format!("the certificates are: {}", all.join(", ")),
        (None, true) => "none is configured, and no hook has left a claim".to_owned(),
    };
    Err(Refusal::Wrong(format!("error: there is no certificate `{unknown}`\n  help: {help}\n")))
}

/// A run that can do nothing, ever, is a mistake of whoever set it up.
pub(super) fn refuse_nothing(config: &Config, lineages: &[Lineage]) -> Result<(), Refusal> {
    if !lineages.is_empty() || config.file.is_some() {
        return Ok(());
    }
    Err(Refusal::Wrong(format!(
        "error: there is nothing to keep in step: no configuration at {} and no claim of a hook in {}\n  \
         help: write a [[certificate]] there, or use certferry as certbot's --deploy-hook\n",
        super::CONFIG,
        config.store.path.display()
    )))
}
