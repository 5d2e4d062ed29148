//! `plan`: what `renew` would do, and why. It takes no lock and writes nothing.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::discovery::Discovery;
use super::{Ended, Form, Refusal, claims, configured_or_not, open, renew};
use crate::check::check;
use crate::cli::{Global, Plan as Flags};
use crate::config::Target;
use crate::ground::Ground;
use crate::look::{self, AtTarget};
use crate::plan::{
    Asked, Kind, Lineage, LineageSeen, Owned, Plan, Renewal, Seen, Step, plan, renews, wanted,
};
use crate::report::{self, minute};
use crate::run::Run;
use crate::store::Store;
use crate::{aliyun, told};

/// Looks side by side: each is one small read, and the account's pace holds them.
const LOOKS: usize = 64;

/// The answer of `plan --json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    steps: &'a [Step],
    certificates: Vec<Renews<'a>>,
}

/// When a certificate that we issue is renewed.
#[derive(Debug, Serialize)]
struct Renews<'a> {
    name: &'a str,
    renew_at: Timestamp,
    renew_reason: String,
}

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let store = Store::existing(&config.store.path)?;
    let mut run = open(config, store, ground)?;
    run.only_looks();
    run.tick = renew::tick(&run);
    let (mut lineages, discovery) = claims::lineages(&run, &flags.names).await?;
    renew::refuse_nothing(&run.config, &lineages)?;
    renew::known(&flags.names, &lineages)?;
    let asked = Asked { names: flags.names.clone(), ..Asked::default() };
    lineages.retain(|lineage| asked.wants(&lineage.name));
    let World { mut seen, unseen } = look_at(&run, &mut lineages).await?;
    hear_renewals(&run, &lineages, &mut seen).await;
    let mut plan = plan(&lineages, &seen, &asked, run.ground.clock.now());
    foresee_errors(&unseen, &mut plan);
    foresee_refusals(&run, &lineages, &mut plan).await;
    let dark = told_unseen(&unseen) + &told_unlisted(&discovery, &lineages);
    let stdout = match Form::from(flags.json) {
        Form::Json => {
            let (steps, certificates) = (plan.steps.as_slice(), renewals(&run, &lineages, &seen));
            report::json(&Document { schema: report::SCHEMA, steps, certificates })
        }
        Form::Text => text(&plan, &dark) + &next_renewal(&renewals(&run, &lineages, &seen)),
    };
    let code = match (dark.is_empty(), plan.is_empty()) {
        (false, _) => 1,
        (true, false) if global.detailed_exit_code => 3,
        (true, _) => 0,
    };
    Ok(Ended { stdout, stderr: dark + &warnings(&run), code })
}

/// Asks the CA what is to be asked now, side by side; `renew` will ask again, and remember it.
async fn hear_renewals(run: &Run, lineages: &[Lineage], seen: &mut Seen) {
    let asks = lineages.iter().map(|lineage| {
        let of = seen.lineages.get(&lineage.name).cloned().unwrap_or_default();
        let mut of = LineageSeen { tick: run.tick, ..of };
        async move {
            run.hear_renewal(lineage, &mut of).await;
            (lineage.name.clone(), of)
        }
    });
    let heard: Vec<_> = stream::iter(asks).buffer_unordered(LOOKS).collect().await;
    seen.lineages.extend(heard);
}

/// When each certificate that we issue is renewed, and why then.
fn renewals<'a>(run: &Run, lineages: &'a [Lineage], seen: &Seen) -> Vec<Renews<'a>> {
    let now = run.ground.clock.now();
    let renewal = |lineage: &'a Lineage| {
        let of = seen.lineages.get(&lineage.name)?;
        let Renewal { at, reason, .. } = renews(lineage, of, now)?;
        Some(Renews { name: &lineage.name, renew_at: at, renew_reason: reason })
    };
    lineages.iter().filter_map(renewal).collect()
}

/// The first of them; `status` and `--json` tell all.
fn next_renewal(renewals: &[Renews<'_>]) -> String {
    let next = renewals.iter().min_by_key(|one| one.renew_at);
    next.map_or_else(String::new, |Renews { name, renew_at, renew_reason }| {
        format!("the next renewal: {name}, from {}: {renew_reason}\n", minute(*renew_at))
    })
}

/// An upload that would fail as the look did is not going to be tried.
fn foresee_errors(unseen: &[(Target, aliyun::Error)], plan: &mut Plan) {
    for step in plan.steps.iter_mut().filter(|step| step.kind == Kind::Deploy) {
        let error = unseen.iter().find(|(target, _)| step.target.as_ref() == Some(target));
        if let Some((_, error)) = error {
            step.kind = Kind::Skip;
            step.reason = format!("it would fail: {}", error.message);
        }
    }
}

/// A Cert that our own checks will not let go is not going to be deployed.
async fn foresee_refusals(run: &Run, lineages: &[Lineage], plan: &mut Plan) {
    for lineage in lineages {
        if plan.issues(&lineage.name).is_some() {
            continue;
        }
        let is_upload =
            |step: &&mut Step| step.certificate == lineage.name && step.kind == Kind::Deploy;
        let mut uploads = plan.steps.iter_mut().filter(is_upload).peekable();
        if uploads.peek().is_none() {
            continue;
        }
        let (disk, now) = (run.disk(lineage).await, run.ground.clock.now());
        for step in uploads {
            let Some(target) = &step.target else { continue };
            let Ok(wanted) = wanted(&disk.seen, target, now) else { continue };
            let Some(cert) = disk.cert_of(&wanted) else { continue };
            let faults = check(cert, &target.domain, &run.roots, now);
            if let Some(fault) = faults.first() {
                step.kind = Kind::Skip;
                step.reason = format!("it would be refused: {fault}");
            }
        }
    }
}

/// What lineages have on disk and what their targets serve, and what could not be seen.
pub(super) struct World {
    pub(super) seen: Seen,
    pub(super) unseen: Vec<(Target, aliyun::Error)>,
}

/// Looks at everything. Guessed targets that turn out to be no CDN domain are taken out of their lineages.
pub(super) async fn look_at(run: &Run, lineages: &mut [Lineage]) -> anyhow::Result<World> {
    let looked = tokio::select! {
        () = run.ground.stop.cancelled() => anyhow::bail!("stopped"),
        looked = look_at_all(run, lineages) => looked,
    };
    let (mut seen, looks) = looked;
    let mut unseen = Vec::new();
    for (owned, mut at) in looks {
        at.seen.ours = run.ours(&owned, &at);
        if let Some(error) = at.decisive().cloned() {
            let is_none = owned.is_found() && error.kind == aliyun::Kind::DomainNotFound;
            if is_none {
                for lineage in lineages.iter_mut() {
                    lineage.targets.retain(|other| other.target != owned.target);
                }
                continue;
            }
            unseen.push((owned.target.clone(), error));
        }
        at.warning.into_iter().for_each(|warning| run.warn(warning));
        seen.targets.insert(owned.target, at.seen);
    }
    Ok(World { seen, unseen })
}

async fn look_at_all(run: &Run, lineages: &[Lineage]) -> (Seen, Vec<(Owned, AtTarget)>) {
    let mut seen = Seen::default();
    for lineage in lineages {
        let disk = look::facts(lineage, &run.config, run.store.as_ref()).await;
        disk.warning.into_iter().for_each(|warning| run.warn(warning));
        seen.lineages.insert(lineage.name.clone(), disk.seen);
    }
    let looks = lineages.iter().flat_map(|lineage| &lineage.targets).map(|owned| async move {
        let store = run.store.as_ref();
        let at = match run.account(&owned.target.aliyun) {
            Ok(account) => look::target(&account, &owned.target, store).await,
            Err(error) => look::unasked(&owned.target, store, error),
        };
        (owned.clone(), at)
    });
    (seen, stream::iter(looks).buffer_unordered(LOOKS).collect().await)
}

/// What the run has gathered for people.
pub(super) fn warnings(run: &Run) -> String {
    run.take_warnings().iter().map(|warning| report::warning_lines(warning)).collect()
}

fn told_unseen(unseen: &[(Target, aliyun::Error)]) -> String {
    let line = |(target, error): &(Target, aliyun::Error)| {
        let what = format!("{}: {} [{}]", target.domain.written, error.message, error.code);
        told::lines("error", &what, &error.help)
    };
    unseen.iter().map(line).collect()
}

/// Lineages whose CDN domains cannot be listed: the plan may lack some.
fn told_unlisted(discovery: &Discovery, lineages: &[Lineage]) -> String {
    let line = |lineage: &Lineage| {
        let error = discovery.unlisted(&lineage.name)?;
        let what = format!("{}: {} [{}]", lineage.name, error.message, error.code);
        Some(told::lines("error", &what, &error.help))
    };
    lineages.iter().filter_map(line).collect()
}

/// The plan in words; `dark` tells what could not be seen.
fn text(plan: &Plan, dark: &str) -> String {
    match (plan.steps.is_empty(), dark.is_empty()) {
        (true, true) => "nothing to do: all is in step\n".to_owned(),
        (true, false) => "nothing to do, as far as could be seen\n".to_owned(),
        (false, _) => plan.steps.iter().map(line).collect(),
    }
}

fn line(step: &Step) -> String {
    let what = match step.kind {
        Kind::Issue => "issue",
        Kind::Deploy => "deploy",
        Kind::Wait => "wait",
        Kind::Skip => "skip",
    };
    let to = step
        .target
        .as_ref()
        .map_or_else(String::new, |target| format!(" -> {}", target.domain.written));
    let when =
        step.not_before.map_or_else(String::new, |at| format!("; not before {}", minute(at)));
    let reason = step.reason.replace('\n', "\n         ");
    format!("{what:<7}{}{to}: {reason}{when}\n", step.certificate)
}
