//! `plan`: what `renew` would do, and why. It takes no lock and writes nothing.

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::{Ended, Form, Refusal, claims, configured_or_not, renew};
use crate::cli::{Global, Plan as Flags};
use crate::ground::Ground;
use crate::look;
use crate::plan::{Asked, Kind, Lineage, Plan, Seen, Step, plan};
use crate::report::{self, minute};
use crate::run::Run;
use crate::store::Store;

/// Looks side by side: each is one small read, and the account's pace holds them.
const LOOKS: usize = 64;

/// The answer of `plan --json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    steps: &'a [Step],
}

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let store = Store::existing(&config.store.path)?;
    let run = Run::new(config, store, ground)?;
    let mut lineages = claims::lineages(&run).await?;
    renew::refuse_nothing(&run.config, &lineages)?;
    renew::known(&flags.names, &lineages)?;
    let asked = Asked { names: flags.names.clone(), ..Asked::default() };
    lineages.retain(|lineage| asked.wants(&lineage.name));
    let seen = look_at(&run, &lineages).await;
    let plan = plan(&lineages, &seen, &asked, run.ground.clock.now());
    let stdout = match Form::from(flags.json) {
        Form::Json => report::json(&Document { schema: report::SCHEMA, steps: &plan.steps }),
        Form::Text => text(&plan),
    };
    let code = if global.detailed_exit_code && !plan.is_empty() { 3 } else { 0 };
    let warnings = run.warnings.take();
    let stderr = warnings.iter().map(|warning| report::warning_lines(warning)).collect();
    Ok(Ended { stdout, stderr, code })
}

/// Everything that these lineages have on disk and that their targets serve.
pub(super) async fn look_at(run: &Run, lineages: &[Lineage]) -> Seen {
    let mut seen = Seen::default();
    for lineage in lineages {
        let disk = look::disk(lineage, &run.config, run.store.as_ref()).await;
        seen.lineages.insert(lineage.name.clone(), disk.seen);
    }
    let looks = lineages.iter().flat_map(|lineage| &lineage.targets).map(|owned| async move {
        let account = run.account(&owned.target.aliyun);
        let looked = match account {
            Ok(account) => look::target(&account, &owned.target, run.store.as_ref()).await,
            Err(error) => (look::unknown(&owned.target, run.store.as_ref(), &error), Some(error)),
        };
        (owned.target.clone(), looked.0)
    });
    seen.targets = stream::iter(looks).buffer_unordered(LOOKS).collect().await;
    seen
}

fn text(plan: &Plan) -> String {
    if plan.steps.is_empty() {
        return "nothing to do: all is in step\n".to_owned();
    }
    plan.steps.iter().map(line).collect()
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
    format!("{what:<7}{}{to}: {}{when}\n", step.certificate, step.reason)
}
