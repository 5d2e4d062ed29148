//! `doctor`: looks for whatever would make a run fail. It takes no lock, writes nothing, and spends nothing.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, timeout};

use super::{Ended, Form, Refusal, claims};
use crate::cli::{Doctor as Flags, Global};
use crate::config::{Certificate, Config};
use crate::doctor::{Check, Diagnosis, Marks, Shown};
use crate::ground::{Env, Ground};
use crate::plan::{Lineage, ownership};
use crate::run::Run;
use crate::told;

mod authority;
mod cloud;
mod grants;
mod house;
mod keys;
mod names;

/// Everything that is asked ends within this: a person waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let said = house::said(global, &ground);
    let is_wrong = said.is_wrong;
    let marks = marks(&ground.env);
    let stop = ground.stop.clone();
    let checks = tokio::select! {
        // What was stopped half-way is no finding.
        biased;
        () = stop.cancelled() => return Err(anyhow!("stopped").into()),
        checks = examine(said, ground) => checks,
    };
    let diagnosis = Diagnosis::new(checks);
    let shown = match (global.quiet, global.verbose) {
        (true, _) => Shown::Failures,
        (false, 0) => Shown::Usual,
        (false, _) => Shown::All,
    };
    let stdout = match Form::from(flags.json) {
        Form::Json => diagnosis.json(),
        Form::Text => diagnosis.text(shown, marks),
    };
    let code = if is_wrong { 2 } else { u8::from(!diagnosis.ok) };
    Ok(Ended { stdout, stderr: String::new(), code })
}

/// What there is to find about a configuration that is not written yet.
pub(super) async fn diagnose(config: Config, ground: Ground) -> Diagnosis {
    Diagnosis::new(examine(house::meant(config), ground).await)
}

/// All checks, in the order in which people read them.
async fn examine(said: house::Said, ground: Ground) -> Vec<Check> {
    let (is_wrong, mut checks) = (said.is_wrong, said.checks);
    let mut run = house::open(said.config, ground, &mut checks);
    checks.extend(house::secrets(&run));
    if said.knows_store {
        checks.extend(house::store(&run));
    }
    if is_wrong {
        checks.extend(house::account_secrets(&run));
        let lineages = ownership(&run.config, &[]).lineages;
        checks.extend(house::certificates(&run, &lineages).await);
        checks.push(house::version());
        return checks;
    }
    run.deadline = Some(Instant::now() + PATIENCE);
    let lineages = lineages(&run, &mut checks).await;
    checks.extend(house::certificates(&run, &lineages).await);
    checks.extend(house::programs(&run));
    let (authorities, cloud, names) =
        tokio::join!(authority::ask(&run), cloud::ask(&run, &lineages), names::ask(&run));
    let names = names.judged(&run, &authorities, &cloud);
    checks.extend(authorities.into_values().flat_map(|authority| authority.checks));
    checks.extend([cloud.checks, names].concat());
    checks.push(house::version());
    checks
}

/// The lineages of a run; what claims lose is told.
async fn lineages(run: &Run, checks: &mut Vec<Check>) -> Vec<Lineage> {
    let lineages = match claims::lineages(run, &[]).await {
        Ok((lineages, _discovery)) => lineages,
        Err(error) => {
            checks.push(Check::bad("claims", "", &error));
            ownership(&run.config, &[]).lineages
        }
    };
    checks.extend(house::warnings(run));
    lineages
}

/// The certificates that we issue.
fn issued(run: &Run) -> impl Iterator<Item = &Certificate> {
    run.config.certificates.iter().filter(|certificate| certificate.source.is_none())
}

/// Asks no longer than a person waits.
pub(super) async fn patient<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let late = |_elapsed| Err(anyhow!("there was no answer within {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, work).await.unwrap_or_else(late)
}

/// What an error of the cloud says, as one text.
fn told_code(error: &crate::aliyun::Error) -> String {
    format!("{} [{}]\nhelp: {}", told::split(&error.message).0, error.code, error.help)
}

/// A terminal shows signs beyond ASCII if its locale says UTF-8 (locale(7): the first that is set counts).
pub(super) fn marks(env: &Env) -> Marks {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env.var(name));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") { Marks::Signs } else { Marks::Words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_for_terminals_that_know_them() {
        let check = |row: &str, vars: &[(&str, &str)], wanted| {
            assert_eq!(marks(&vars.iter().copied().collect()), wanted, "{row}");
        };
        check("none", &[], Marks::Words);
        check("a language", &[("LANG", "zh_CN.UTF-8")], Marks::Signs);
        check("written otherwise", &[("LANG", "C.utf8")], Marks::Signs);
        check("overruled", &[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")], Marks::Words);
        check("an empty one is not set", &[("LC_ALL", ""), ("LANG", "C.UTF-8")], Marks::Signs);
    }
}
