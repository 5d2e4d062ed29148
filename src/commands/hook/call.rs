//! How the hook was called: by which client, and about which certificates.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;

use crate::cli::Hook as Flags;
use crate::commands::{Refusal, told_error};
use crate::config::CdnDomain;
use crate::ground::Ground;
use crate::hook::{self, Call, Error, Event, Files, Heard};

/// Ten thousand hostnames, each as long as one may be, fit well.
const MOST_STDIN: u64 = 4 << 20;

/// acmetool has written its hostnames before it waits.
const STDIN_PATIENCE: Duration = Duration::from_secs(5);

/// What a call is about.
pub(super) enum Called {
    /// These certificates; none, if acmetool tells no hostname.
    For(Vec<Event>),
    /// Nothing of ours: to be ended with this status, in silence.
    ForNothing(u8),
}

/// Hears who calls, and says it.
pub(super) async fn called(flags: &Flags, ground: &Ground) -> Result<Called, Refusal> {
    let args: Vec<String> =
        flags.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let here = std::path::absolute(".").unwrap_or_else(|_| PathBuf::from("."));
    let files = flags.cert.as_deref().zip(flags.key.as_deref());
    let name = flags.name.as_deref();
    let files = files.map(|(chain, key)| Files { chain, key, name });
    let var = |name: &str| ground.env.var(name);
    let call = Call { var: &var, args: &args, files, here: &here };
    let events = match hook::hear(&call).map_err(wrong)? {
        Heard::Nothing(code) => return Ok(Called::ForNothing(code)),
        Heard::Certificate(event) => vec![event],
        Heard::Hosts(hosts) => hosts.events(&hostnames(ground).await?, place).map_err(wrong)?,
    };
    for Event { dialect, source, name, .. } in &events {
        ground.say.line(format!("{dialect}: {name} ({source})"));
    }
    Ok(Called::For(events))
}

/// Which certificate gets which of the CDN domains that flags name: the first that covers it. With several
/// certificates, those that get none are not asked about.
pub(super) fn shared(domains: &[String], events: Vec<Event>) -> Vec<(Event, Vec<String>)> {
    let mut shares: Vec<(Event, Vec<String>)> =
        events.into_iter().map(|event| (event, Vec::new())).collect();
    for written in domains {
        let place = shares.iter().position(|(event, _)| covers(event, written)).unwrap_or(0);
        if let Some((_, own)) = shares.get_mut(place) {
            own.push(written.clone());
        }
    }
    if !domains.is_empty() {
        shares.retain(|(_, own)| !own.is_empty());
    }
    shares
}

/// By the names that were told; the check before the upload goes by the certificate's.
fn covers(event: &Event, written: &str) -> bool {
    let Ok(domain) = CdnDomain::read(written) else { return false };
    let host = domain.api_name.as_str();
    let is_it = |name: &String| match name.strip_prefix('*') {
        Some(parent) => host == parent || host.find('.').is_some_and(|dot| &host[dot..] == parent),
        None => name == host,
    };
    event.names.told().iter().any(is_it)
}

async fn hostnames(ground: &Ground) -> Result<String, Refusal> {
    let help = "acmetool writes a hostname a line, and ends it: look at what has called this hook";
    ground.input.text(MOST_STDIN, STDIN_PATIENCE).await.map_err(|error| {
        let what = match error.kind() {
            ErrorKind::TimedOut => "stdin does not end".to_owned(),
            ErrorKind::FileTooLarge => "stdin is too large for hostnames".to_owned(),
            _ => format!("stdin cannot be read: {error}"),
        };
        Refusal::Failed(anyhow!("{what}\nhelp: {help}"))
    })
}

fn wrong(error: Error) -> Refusal {
    Refusal::Wrong(told_error(&error.into()))
}

/// Where a link leads now.
fn place(link: &Path) -> PathBuf {
    link.canonicalize().unwrap_or_else(|_| link.to_owned())
}
